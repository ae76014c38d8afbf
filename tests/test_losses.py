"""Losses of first spikes and of counts, and the traps that losses of other frameworks set (TRAPS 32 to 36).

Cross-entropies of membranes and rates are in test_train.py.
"""

from __future__ import annotations

import itertools
import math

import pytest
import torch

import spikeloom as sl
from spikeloom.errors import ParameterError, ShapeError, SpikeError
from spikeloom.learn import (
    cross_entropy_of_first_spike,
    cross_entropy_of_mean,
    cross_entropy_of_rate,
    mean_of_cross_entropy,
    mean_square_error_of_count,
    time_to_first_spike,
)


def train_of(*steps: int, length: int = 8) -> torch.Tensor:
    """Spikes [T, 1, C] whose neuron c fires first (and only) in step ``steps[c]``; -1 for never."""
    spikes = torch.zeros(length, 1, len(steps))
    for neuron, step in enumerate(steps):
        if step >= 0:
            spikes[step, 0, neuron] = 1.0
    return spikes


# -- first spike


def test_time_of_the_first_spike():
    spikes = train_of(0, 3, 7, -1)
    spikes[5] = 1.0  # later spikes do not count; the last two now fire in step 5
    assert time_to_first_spike(spikes).tolist() == [[0.0, 3.0, 5.0, 5.0]]
    assert time_to_first_spike(train_of(0, -1)).tolist() == [[0.0, 8.0]]


@pytest.mark.parametrize("steps", range(1, 7))
def test_the_derivative_is_the_exact_change_by_every_flipped_spike(steps: int):
    """All spike trains of up to 6 steps, and every single spike added or taken away."""
    trains = torch.tensor(list(itertools.product([0.0, 1.0], repeat=steps)), dtype=torch.float64)
    spikes = trains.T.unsqueeze(1).clone().requires_grad_()  # [T, 1, all trains]
    time_to_first_spike(spikes).sum().backward()
    for step in range(steps):
        flipped = spikes.detach().clone()
        flipped[step] = 1.0 - flipped[step]
        change = time_to_first_spike(flipped) - time_to_first_spike(spikes.detach())
        expected = change / (flipped - spikes.detach())[step]
        assert torch.equal(spikes.grad[step], expected)


def test_the_derivative_is_that_of_the_expected_time():
    """E[t] of independent Bernoulli neurons is the sum over t of the product of 1 - p up to t; here at p = spikes."""
    torch.manual_seed(0)
    p = (torch.rand(9, 5, 4, dtype=torch.float64) < 0.2).double().requires_grad_()
    expected_time = torch.stack([torch.stack([1 - q for q in p[: t + 1]]).prod(0) for t in range(9)]).sum(0)
    assert torch.equal(expected_time, time_to_first_spike(p))
    weights = torch.randn(5, 4, dtype=torch.float64)
    (by_formula,) = torch.autograd.grad((expected_time * weights).sum(), p)
    (ours,) = torch.autograd.grad((time_to_first_spike(p) * weights).sum(), p)
    torch.testing.assert_close(ours, by_formula, rtol=1e-13, atol=1e-13)


def test_cross_entropy_of_first_spike_in_closed_form():
    spikes = torch.cat([train_of(2, 5, -1), train_of(4, 4, 0)], dim=1)  # times (2, 5, 8) and (4, 4, 0)
    labels, tau = torch.tensor([0, 1]), 3.0
    first = math.log(1 + math.exp(-3 / tau) + math.exp(-6 / tau))
    second = math.log(1 + 1 + math.exp(4 / tau))
    loss = cross_entropy_of_first_spike(spikes, labels, tau=tau).item()
    assert loss == pytest.approx((first + second) / 2, rel=1e-6)


def test_a_silent_output_knows_nothing_and_is_taught_to_fire():
    spikes = torch.zeros(8, 1, 3, dtype=torch.float64, requires_grad=True)
    for label in range(3):
        loss = cross_entropy_of_first_spike(spikes, torch.tensor([label]), tau=2.0)
        assert loss.item() == pytest.approx(math.log(3), rel=1e-12)
    (grad,) = torch.autograd.grad(loss, spikes)
    pull = torch.tensor([1 / 3, 1 / 3, 1 / 3 - 1], dtype=torch.float64)  # softmax - one-hot, for minus the time
    waited = torch.arange(8, 0, -1, dtype=torch.float64)  # T - u
    torch.testing.assert_close(grad[:, 0], torch.outer(waited / 2.0, pull), rtol=1e-12, atol=1e-14)


def test_a_small_net_learns_to_fire_the_right_neuron_first():
    """Four patterns of early and late input spikes; from a net in which most outputs are silent at the start."""
    torch.manual_seed(0)
    steps, patterns = 20, torch.randint(0, 10, (4, 12))
    x = torch.zeros(steps, 4, 12)
    for sample, times in enumerate(patterns):
        x[times, sample, torch.arange(12)] = 1.0
    labels = torch.tensor([2, 0, 3, 1])
    net = sl.nn.Sequential(
        torch.nn.Linear(12, 30), sl.nn.Neuron(sl.LIF(tau=8.0)), torch.nn.Linear(30, 4), sl.nn.Neuron(sl.LIF(tau=8.0))
    )
    before = sl.decode.accuracy(sl.decode.classify(sl.decode.first_spike(net(x)[0]), earliest=True), labels)
    assert before.correct < 0.5
    optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(150):
        optimiser.zero_grad()
        loss = cross_entropy_of_first_spike(net(x)[0], labels, tau=2.0)
        loss.backward()
        optimiser.step()
    y = net(x)[0]
    after = sl.decode.accuracy(sl.decode.classify(sl.decode.first_spike(y), earliest=True), labels)
    assert after.correct == 1.0
    times = sl.decode.first_spike(y).clamp(max=steps)
    own = times[torch.arange(4), labels]
    others = times.scatter(1, labels[:, None], torch.inf).amin(1)
    assert bool((own + 2 <= others).all())  # ahead by a clear lead


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_times_are_exact_in_any_precision(dtype: torch.dtype):
    """3000 steps are more than float16 or bfloat16 can count."""
    spikes = torch.zeros(3001, 1, 2, dtype=dtype)
    spikes[2999, 0, 0] = 1
    spikes.requires_grad_()
    time = time_to_first_spike(spikes)
    assert time.tolist() == [[2999.0, 3001.0]]
    time.sum().backward()
    assert spikes.grad.dtype == dtype


def test_first_spike_refuses_what_is_no_spike():
    labels = torch.tensor([0])
    with pytest.raises(SpikeError, match="not spikes"):
        cross_entropy_of_first_spike(torch.full((3, 1, 2), 0.5), labels, tau=1.0)
    with pytest.raises(ParameterError, match="tau"):
        cross_entropy_of_first_spike(torch.zeros(3, 1, 2), labels, tau=0.0)


# -- counts


def test_mean_square_error_of_count_in_closed_form():
    spikes = torch.zeros(10, 2, 3)
    spikes[:4, 0, 0], spikes[:7, 0, 2], spikes[:9, 1, 1] = 1.0, 1.0, 1.0  # counts (4, 0, 7) and (0, 9, 0)
    spikes.requires_grad_()
    loss = mean_square_error_of_count(spikes, torch.tensor([0, 1]), right=8, wrong=2)
    assert loss.item() == pytest.approx(((4 - 8) ** 2 + 2**2 + (7 - 2) ** 2 + 2**2 + 1 + 2**2) / 6, rel=1e-6)
    loss.backward()
    expected = 2 * torch.tensor([[-4.0, -2.0, 5.0], [-2.0, 1.0, -2.0]]) / 6
    torch.testing.assert_close(spikes.grad, expected.expand(10, 2, 3))


@pytest.mark.parametrize(("right", "wrong"), [(11, 0), (3, 3), (3, -1), (1, 2), (math.nan, 0)])
def test_counts_that_cannot_be_reached_are_refused(right: float, wrong: float):
    with pytest.raises(ParameterError, match="wanted counts"):
        mean_square_error_of_count(torch.zeros(10, 1, 3), torch.tensor([0]), right=right, wrong=wrong)


def test_a_net_learns_the_counts():
    torch.manual_seed(1)
    x, labels = torch.rand(20, 6, 10), torch.arange(6) % 3
    net = sl.nn.Sequential(torch.nn.Linear(10, 3), sl.nn.Neuron(sl.LIF(tau=5.0)))
    for parameter in net[0].parameters():
        parameter.data.mul_(0.1)  # silent at the start
    assert net(x)[0].sum() == 0
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(200):
        optimiser.zero_grad()
        loss = mean_square_error_of_count(net(x)[0], labels, right=8, wrong=2)
        loss.backward()
        optimiser.step()
    count = net(x)[0].sum(0)
    assert bool((count.argmax(1) == labels).all())


# -- traps

LOSSES = {
    "first spike": lambda y, labels: cross_entropy_of_first_spike(y, labels, tau=2.0),
    "count": lambda y, labels: mean_square_error_of_count(y, labels, right=2, wrong=1),
    "rate": cross_entropy_of_rate,
    "mean": cross_entropy_of_mean,
    "per step": mean_of_cross_entropy,
}


@pytest.mark.parametrize("name", LOSSES)
def test_trap_32_silence_is_no_class(name: str):
    """A silent net counts as class 0 elsewhere, and so is right for a tenth of the images."""
    silent = torch.zeros(6, 1, 4)
    losses = [LOSSES[name](silent, torch.tensor([label])).item() for label in range(4)]
    assert losses == [losses[0]] * 4
    for scores, earliest in ((sl.decode.count(silent), False), (sl.decode.first_spike(silent), True)):
        decision = sl.decode.classify(scores, earliest=earliest)
        assert decision.prediction.tolist() == [-1]
        assert sl.decode.accuracy(decision, torch.tensor([0])).correct == 0.0


@pytest.mark.parametrize("name", LOSSES)
def test_trap_33_time_before_batch_and_no_hidden_scale(name: str):
    """Losses that default to time on axis 1 and compare a mean with a sum; smoothing of labels by default."""
    spikes = torch.zeros(5, 2, 3)
    with pytest.raises(ShapeError, match="batch and time look swapped"):
        LOSSES[name](spikes.transpose(0, 1), torch.tensor([0, 1]).repeat(3)[:2])
    assert mean_square_error_of_count(torch.ones(5, 1, 1), torch.tensor([0]), right=5, wrong=0).item() == 0.0
    lead = train_of(0, -1, length=100)
    assert cross_entropy_of_first_spike(lead, torch.tensor([0]), tau=1.0).item() < 1e-30  # no smoothing keeps it up


def test_trap_34_before_and_after_the_softmax_are_two_losses():
    y, labels = torch.tensor([[[4.0, 0.0]], [[-4.0, 0.0]]]), torch.tensor([0])
    assert cross_entropy_of_mean(y, labels).item() == pytest.approx(math.log(2))
    after = (math.log(1 + math.exp(-4)) + math.log(1 + math.exp(4))) / 2
    assert mean_of_cross_entropy(y, labels).item() == pytest.approx(after)


def test_trap_35_spikes_are_not_cumulative_and_time_comes_first():
    """A wave in which 1 stays 1 would count 6 spikes where one neuron fired once."""
    once = train_of(2, 3)
    assert mean_square_error_of_count(once, torch.tensor([0]), right=1, wrong=0).item() == 0.5  # counts 1 and 1
    with pytest.raises(ShapeError):
        LOSSES["first spike"](once.permute(1, 2, 0), torch.tensor([0]))  # [B, C, T]


def test_trap_36_silence_is_later_than_the_last_step():
    """A zero that still spikes in the last step cannot be told from the smallest value."""
    assert sl.encode.latency(torch.zeros(1, 2), steps=8).sum() == 0
    assert time_to_first_spike(train_of(7, -1)).tolist() == [[7.0, 8.0]]
    loss = cross_entropy_of_first_spike(train_of(7, -1), torch.tensor([0]), tau=1.0).item()
    assert loss == pytest.approx(math.log(1 + math.exp(-1)), rel=1e-6)
