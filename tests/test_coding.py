"""Encoders and their inverses against closed forms and plain loops; read-outs are in test_spikes.py."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.coding import decode, encode
from spikeloom.coding.layout import check_spikes
from spikeloom.errors import NonFiniteError, ParameterError, ShapeError

quick = settings(max_examples=40, deadline=None)
units = st.floats(0.0, 1.0, width=32)
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
ENCODERS = {
    "rate": lambda x: encode.rate(x, 16),
    "regular": lambda x: encode.regular(x, 16),
    "latency": lambda x: encode.latency(x, 16),
    "latency, charging": lambda x: encode.latency(x, 16, tau=16.0),
    "phase": lambda x: encode.phase(x, 16),
    "burst": lambda x: encode.burst(x, 16),
    "population": lambda x: encode.population(x, 5, 16),
    "population, rate": lambda x: encode.population(x, 5, 16, code="rate"),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def column(*values: float) -> torch.Tensor:
    return torch.tensor([values])


# What holds for all encoders


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_layout_dtype_and_binary_values(name, dtype):
    values = torch.rand(3, 2, 4, generator=seeded()).to(dtype).requires_grad_()
    spikes = ENCODERS[name](values)
    assert spikes.dtype == dtype
    assert not spikes.requires_grad
    assert spikes.shape == ((16, 3, 2, 4, 5) if name.startswith("population") else (16, 3, 2, 4))
    assert set(spikes.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("name", [name for name in ENCODERS if "rate" not in name])
def test_samples_do_not_influence_each_other(name):
    values = torch.rand(4, 6, generator=seeded())
    assert torch.equal(ENCODERS[name](values)[:, 1:2], ENCODERS[name](values[1:2]))


@pytest.mark.parametrize("name", ENCODERS)
def test_unusable_values_raise(name):
    run = ENCODERS[name]
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(NonFiniteError, match="finite"):
            run(column(0.5, bad))
    for bad in (-0.01, 1.01):
        with pytest.raises(ParameterError, match=r"expected 0 to 1\. Rescale"):
            run(column(0.5, bad))
    with pytest.raises(ParameterError, match=r"got torch.uint8, expected a floating dtype.*255"):
        run(torch.zeros(1, 1, dtype=torch.uint8))
    with pytest.raises(ParameterError, match="as_tensor"):
        run([[0.5]])
    with pytest.raises(ShapeError, match=r"\[B, \.\.\.\]"):
        run(torch.tensor(0.5))
    assert run(torch.zeros(0, 3)).shape[:3] == (16, 0, 3)


@pytest.mark.parametrize("steps", [0, -1, 2.0, "8", True, None])
def test_unusable_steps_raise(steps):
    x = column(0.5)
    for run in (
        encode.direct, encode.rate, encode.regular, encode.latency, encode.phase, encode.burst,
        lambda x, steps: encode.population(x, 5, steps),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match="steps"):
            run(x, steps)


# Counts


def test_direct_repeats_and_passes_gradients():
    x = column(-2.0, 3.0).requires_grad_()
    y = encode.direct(x, 4)
    assert torch.equal(y, x.expand(4, 1, 2))
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[4.0, 4.0]]
    with pytest.raises(NonFiniteError):
        encode.direct(column(math.nan), 2)


@pytest.mark.parametrize("max_rate", [1.0, 0.4])
def test_rate_has_binomial_mean_and_variance(max_rate):
    steps, many = 50, 20_000
    for value in (0.02, 0.3, 0.9):
        p = value * max_rate
        counts = encode.rate(torch.full((many,), value), steps, seeded(3), max_rate=max_rate).sum(0).double()
        variance = steps * p * (1 - p)
        assert abs(counts.mean() - steps * p) < 4 * math.sqrt(variance / many)
        # The variance of a sample variance follows from the fourth central moment of the binomial.
        fourth = variance * (1 + 3 * (steps - 2) * p * (1 - p))
        spread = math.sqrt((fourth - variance**2) / many)
        assert abs(counts.var() - variance) < 4 * spread


def test_rate_steps_are_independent():
    spikes = encode.rate(torch.full((20_000,), 0.3), 20, seeded(1)).double() - 0.3
    correlation = (spikes[1:] * spikes[:-1]).mean() / (0.3 * 0.7)
    assert abs(correlation) < 4 / math.sqrt(19 * 20_000)


def test_rate_ends_are_certain_and_the_seed_decides():
    x = torch.rand(2, 500, generator=seeded())
    first = encode.rate(x, 20, seeded(7))
    assert torch.equal(first, encode.rate(x, 20, seeded(7)))
    assert not torch.equal(first, encode.rate(x, 20, seeded(8)))
    assert torch.equal(first[:5], encode.rate(x, 5, seeded(7)))
    assert torch.equal(first, encode.rate(x.double(), 20, seeded(7)).float())
    ends = encode.rate(column(0.0, 1.0), 5000, seeded())
    assert ends.sum(0).tolist() == [[0.0, 5000.0]]
    with pytest.raises(ParameterError, match="max_rate"):
        encode.rate(x, 5, max_rate=1.5)


def test_a_draw_of_zero_does_not_make_zero_spike(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.zeros(shape))
    assert encode.rate(column(0.0, 1e-30), 3).sum(0).tolist() == [[0.0, 3.0]]


def test_bernoulli_follows_probabilities_over_time():
    p = torch.linspace(0, 1, 11)[:, None].expand(11, 40_000)
    mean = encode.bernoulli(p, seeded(2)).mean(1)
    assert torch.all((mean - p[:, 0]).abs() <= 4 * (p[:, 0] * (1 - p[:, 0]) / 40_000).sqrt())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("parts", [3, 7, 10, 49, 255])
def test_regular_counts_of_fractions_are_exact(dtype, parts):
    values = torch.tensor([[k / parts for k in range(parts + 1)]], dtype=torch.float64).to(dtype)
    for steps in (parts, 4 * parts, 3 * parts + 1):
        expected = [math.floor(Fraction(k, parts) * steps) for k in range(parts + 1)]
        assert encode.regular(values, steps).sum(0, dtype=torch.float64).tolist() == [expected]


@pytest.mark.parametrize("dtype", DTYPES)
def test_regular_is_an_integrate_and_fire_neuron(dtype):
    # Multiples of 1/64 are exact in every dtype, and so is their sum in the loop.
    values = torch.arange(65, dtype=torch.float64)[None] / 64
    v, expected = torch.zeros_like(values), []
    for _ in range(100):
        v = v + values
        expected.append((v >= 1).double())
        v = v - expected[-1]
    assert torch.equal(encode.regular(values.to(dtype), 100).double(), torch.stack(expected))


@quick
@given(units, st.integers(1, 300), st.sampled_from(DTYPES))
def test_regular_count_is_within_one_and_evenly_spaced(value, steps, dtype):
    x = torch.tensor([value], dtype=dtype)
    spikes = encode.regular(x, steps)[:, 0]
    assert set(spikes.tolist()) <= {0.0, 1.0}
    assert abs(float(spikes.sum(dtype=torch.float64)) - float(x) * steps) < 1
    gaps = spikes.nonzero().flatten().diff()
    if len(gaps):
        assert gaps.max() - gaps.min() <= 1


# Times


def test_linear_latency_formula():
    x = torch.linspace(0.05, 1.0, 39)[None]
    times = decode.first_spike(encode.latency(x, 33))
    assert times.tolist() == [[round((1 - float(value)) * 32) for value in x[0]]]
    assert (times[0].diff() <= 0).all()
    assert encode.latency(x, 33).sum(0).eq(1).all()
    assert decode.latency(encode.latency(x, 33)).sub(x).abs().max() <= 0.5 / 32 + 1e-6


@pytest.mark.parametrize("steps", [15, 40])
def test_charging_latency_formula_and_neuron(steps):
    x = torch.linspace(0.0, 1.0, 201, dtype=torch.float64)[None]
    tau, threshold = 7.0, 0.2
    times = decode.first_spike(encode.latency(x, steps, tau, threshold=threshold))[0].tolist()
    for value, time in zip(x[0].tolist(), times, strict=True):
        exact = tau * math.log(value / (value - threshold)) if value > threshold else math.inf
        assert time == (math.ceil(exact) - 1 if exact <= steps else math.inf)
        # A leaky integrator that receives the value as its held input, one step after the other.
        v, fired = 0.0, [False] * steps
        for t in range(steps):
            v = value + (v - value) * math.exp(-1 / tau)
            fired[t] = v >= threshold
        assert time == (fired.index(True) if any(fired) else math.inf)


@pytest.mark.parametrize("tau", [3.0, 20.0, 50.0])
def test_charging_latency_undoes_its_decoder(tau):
    steps, threshold = 30, 0.2
    times = torch.arange(steps, dtype=torch.float64)
    largest = threshold / -torch.expm1(-(times + 1) / tau)
    keep = int((largest <= 1.0).nonzero()[0])
    spikes = torch.eye(steps)[:, None, keep:]
    values = decode.latency(spikes, tau, threshold=threshold)
    assert torch.allclose(values[0].double(), largest[keep:], rtol=1e-6)
    assert torch.equal(encode.latency(values, steps, tau, threshold=threshold), spikes)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tau", [None, 1.0, 1e6])
def test_trap_36_zero_or_below_threshold_never_spikes(dtype, tau):
    tiny = torch.finfo(dtype).smallest_normal
    x = torch.tensor([[0.0, -0.0, tiny, 0.099, 0.15, 1.0]], dtype=dtype)
    for steps in (1, 2, 100):
        fired = encode.latency(x, steps, tau, threshold=0.1).any(0)[0]
        assert not fired[:4].any()
        assert bool(fired[5]) == (tau != 1e6)  # slow charging ends after the window: silent, not "last step"
    if tau is None:
        assert encode.latency(x, 10, threshold=0.0).any(0).tolist() == [[False, False, True, True, True, True]]
        at = torch.tensor([[0.1]], dtype=dtype)  # the threshold as this dtype holds it
        assert encode.latency(at, 10, threshold=0.1).sum() == 1


def test_latency_options_are_checked():
    for wrong in ({"tau": 0.0}, {"tau": math.nan}, {"tau": 5.0, "threshold": 0.0}, {"threshold": -0.1}):
        with pytest.raises(ParameterError, match=r"tau|threshold"):
            encode.latency(column(0.5), 5, **wrong)


@pytest.mark.parametrize("period", [1, 3, 8, 12])
def test_phase_is_the_binary_expansion(period):
    x = torch.rand(1, 50, generator=seeded(), dtype=torch.float64)
    spikes = encode.phase(x, 3 * period, period=period)
    for value, train in zip(x[0].tolist(), spikes[:, 0].T.tolist(), strict=True):
        rest, digits = Fraction(value), []
        for _ in range(period):
            rest = rest * 2
            digits.append(float(rest >= 1))
            rest -= int(rest >= 1)
        assert train == digits * 3
    below = x - decode.phase(spikes, period=period)
    assert ((below >= 0) & (below < 2.0**-period)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_phase_decodes_exactly(dtype):
    exact = torch.arange(256, dtype=torch.float64)[None] / 256
    x = exact.to(dtype)
    assert torch.equal(decode.phase(encode.phase(x, 8)).double(), exact)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(decode.phase(encode.phase(x, 8)).double(), exact)
    assert decode.phase(encode.phase(torch.ones(1, 1, dtype=dtype), 16)).item() == 1 - 2.0**-8


def test_phase_keeps_the_bits_of_images():
    pixels = torch.arange(256)[None]
    bits = encode.phase(pixels.float() / 255, 8)[:, 0].T.long()
    assert bits.tolist() == [[int(digit) for digit in f"{pixel:08b}"] for pixel in range(256)]


def test_phase_needs_whole_periods():
    with pytest.raises(ParameterError, match=r"multiple of 8\. Use 16 steps"):
        encode.phase(column(0.5), 10)
    with pytest.raises(ParameterError, match="period"):
        encode.phase(column(0.5), 53, period=53)


@quick
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 8), st.integers(0, 60))
def test_burst_follows_its_formulas(n_max, t_min, extra, part):
    t_max, steps = t_min + extra, 1 + 5 * 13
    value = Fraction(part, 60)
    train = encode.burst(torch.tensor([[part / 60]]), steps, n_max, t_min, t_max)[:, 0, 0]
    count = math.ceil(value * n_max)
    interval = math.ceil(t_max - (t_max - t_min) * value)
    assert train.nonzero().flatten().tolist() == [nth * interval for nth in range(count)]


def test_burst_default_is_the_longest_that_fits():
    x = torch.linspace(0, 1, 1001)[None]
    counts = [math.ceil(Fraction(k, 1000) * 5) for k in range(1001)]
    for steps in (9, 10, 23, 64):
        assert encode.burst(x, steps).sum(0).tolist() == [counts]
    last = [decode.first_spike(encode.burst(x, steps).flip(0)).min().item() for steps in (23, 64)]
    assert max(last) <= 5  # no much wider interval would have fitted
    with pytest.raises(ParameterError, match=r"does not fit: got 8 steps, expected 9\. Use steps >= 9"):
        encode.burst(x, 8)
    with pytest.raises(ParameterError, match="t_max"):
        encode.burst(x, 50, t_min=5, t_max=4)


# Populations and changes


@pytest.mark.parametrize("neurons", [3, 5, 12])
def test_gaussian_fields_peak_at_their_centres(neurons):
    centres = [(2 * i - 3) / (2 * (neurons - 2)) for i in range(1, neurons + 1)]
    inner = torch.tensor([centres[1:-1]], dtype=torch.float64)
    fields = encode.receptive_fields(inner, neurons)
    assert torch.allclose(torch.diagonal(fields[0, :, 1:-1]), torch.ones(neurons - 2).double(), atol=1e-15)
    assert fields.argmax(-1).tolist() == [list(range(1, neurons - 1))]
    x = torch.rand(1, 20, generator=seeded(), dtype=torch.float64)
    for value, row in zip(x[0].tolist(), encode.receptive_fields(x, neurons, beta=2.0)[0].tolist(), strict=True):
        sigma = 1 / (2.0 * (neurons - 2))
        assert row == pytest.approx([math.exp(-((value - c) ** 2) / (2 * sigma**2)) for c in centres], rel=1e-12)


def test_population_codes():
    x = torch.rand(2, 3, generator=seeded())
    fields = encode.receptive_fields(x, 6)
    assert torch.equal(encode.population(x, 6, 20), encode.latency(fields, 20, threshold=0.1))
    spikes = encode.population(x, 6, 4000, code="rate", generator=seeded(5))
    assert (spikes.mean(0) - fields).abs().max() < 4 * 0.5 / math.sqrt(4000)
    assert not encode.population(x, 6, 20).any(0)[fields < 0.1].any()
    with pytest.raises(ParameterError, match="Did you mean latency"):
        encode.population(x, 6, 20, code="latncy")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ParameterError, match="neurons"):
        encode.receptive_fields(x, 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_delta_reconstructs_within_one_threshold(dtype):
    threshold = 0.125
    steps = (torch.rand(300, 2, 5, generator=seeded()) * 2 - 1) * threshold * 0.9
    signal = (0.3 + steps.cumsum(0)).to(dtype)
    assert signal.float().diff(dim=0).abs().max() <= threshold
    events = encode.delta(signal, threshold)
    assert events.shape == (300, 2, 2, 5)
    assert events.dtype == dtype
    check_spikes(events)
    assert (events.sum(2) <= 1).all()
    seen = decode.delta(events, threshold, start=signal[0])
    assert (seen - signal.to(seen.dtype)).abs().max() < threshold * (1 + 1e-5)


@quick
@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=30), st.floats(0.0625, 3.0, width=32))
def test_delta_with_counts_holds_the_bound_for_any_signal(samples, threshold):
    signal = torch.tensor(samples)[:, None]
    events = encode.delta(signal, threshold, start=0.0, multiple=True)
    error = decode.delta(events, threshold, start=0.0) - signal
    assert error.abs().max() < threshold * (1 + 1e-3)


def test_delta_by_hand():
    signal = torch.tensor([0.0, 0.4, 1.1, 5.0, 5.0, 3.0, 0.0])[:, None]
    assert encode.delta(signal, 1.0)[:, 0].T.tolist() == [[0, 0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1]]
    counts = encode.delta(signal, 1.0, multiple=True)
    assert counts[:, 0].T.tolist() == [[0, 0, 1, 4, 0, 0, 0], [0, 0, 0, 0, 0, 2, 3]]
    assert not encode.delta(torch.full((9, 1), 7.3), 0.5).any()


def test_delta_checks_its_arguments():
    signal = torch.zeros(4, 2, 3)
    for threshold in (0.0, -1.0, math.nan):
        with pytest.raises(ParameterError, match="threshold"):
            encode.delta(signal, threshold)
    with pytest.raises(ShapeError, match="start does not fit"):
        encode.delta(signal, 1.0, start=torch.zeros(5))
    with pytest.raises(NonFiniteError):
        encode.delta(signal + math.nan, 1.0)
    with pytest.raises(ParameterError, match="too small"):  # bfloat16 cannot count 1000 events
        encode.delta(torch.tensor([[0.0], [1.0]]).bfloat16(), 0.001, multiple=True)
    with pytest.raises(ShapeError, match=r"\[T, B, 2, \.\.\.\]"):
        decode.delta(torch.zeros(4, 2, 3), 1.0, start=0.0)
