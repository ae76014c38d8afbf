"""Dense spikes and events, both ways exact; and what is read from output spikes: scores and decisions."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.coding import decode
from spikeloom.coding.layout import check_labels
from spikeloom.errors import NonFiniteError, ParameterError, ShapeError, SpikeError
from spikeloom.spikes import Events, ms_to_steps, steps_to_ms, to_dense, to_events

quick = settings(max_examples=40, deadline=None)
shapes = st.lists(st.integers(0, 4), min_size=2, max_size=5).map(tuple)


@quick
@given(shapes, st.integers(0, 2**32 - 1), st.sampled_from([bool, np.uint8, np.int64, np.float16, np.float64]))
def test_round_trip_is_exact(shape, seed, dtype):
    dense = (np.random.default_rng(seed).random(shape) < 0.3).astype(dtype)
    events = to_events(dense)
    back = to_dense(events, dtype)
    assert back.shape == shape
    assert back.dtype == dense.dtype
    assert np.array_equal(back, dense)
    assert len(events) == int(dense.sum())


@quick
@given(shapes, st.integers(0, 2**32 - 1))
def test_counts_round_trip_as_repeated_events(shape, seed):
    dense = np.random.default_rng(seed).poisson(0.7, shape)
    events = to_events(dense, multiple=True)
    assert len(events) == dense.sum()
    assert np.array_equal(to_dense(events, np.int64, multiple=True), dense)


def test_events_are_the_places_of_the_ones():
    dense = np.zeros((3, 2, 2, 2))
    dense[2, 0, 0, 1] = dense[0, 1, 1, 0] = dense[0, 0, 1, 1] = 1
    events = to_events(dense)
    assert events.time.tolist() == [0, 0, 2]
    assert events.batch.tolist() == [0, 1, 0]
    assert events.neuron.tolist() == [3, 2, 1]
    rows, columns = np.unravel_index(events.neuron, events.shape[2:])
    assert (dense[events.time, events.batch, rows, columns] == 1).all()


def test_silent_ends_survive():
    events = to_events(np.zeros((7, 2, 3)))
    assert len(events) == 0
    assert to_dense(events).shape == (7, 2, 3)
    assert to_dense(events).dtype == np.float32


def test_order_of_events_does_not_matter():
    shuffled = Events(time=[5, 0, 2], batch=[0, 0, 0], neuron=[1, 1, 0], shape=(6, 1, 2))
    assert np.argwhere(to_dense(shuffled)).tolist() == [[0, 0, 1], [2, 0, 0], [5, 0, 1]]


def test_events_are_frozen_copies():
    time = np.array([1, 2])
    events = Events(time, [0, 0], [0, 0], (3, 1, 1))
    time[0] = 0
    assert events.time.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        events.time[0] = 0


@pytest.mark.parametrize("bad", [0.5, -1.0, 2.0, np.nan, np.inf])
def test_non_binary_values_raise(bad):
    dense = np.zeros((3, 1, 2))
    dense[1, 0, 1] = bad
    with pytest.raises(SpikeError, match=r"got .*, expected 0 or 1\. Pass multiple=True"):
        to_events(dense)
    if bad != 2.0:
        with pytest.raises(SpikeError, match="expected whole numbers"):
            to_events(dense, multiple=True)


@pytest.mark.parametrize(("name", "index"), [("time", 4), ("time", -1), ("batch", 2), ("neuron", 6), ("neuron", -2)])
def test_out_of_range_indices_raise(name, index):
    places = {"time": [0], "batch": [0], "neuron": [0], name: [index]}
    with pytest.raises(ShapeError, match=f"{name} index is out of range: got {index}, expected 0 to"):
        Events(**places, shape=(4, 2, 3, 2))


def test_malformed_events_raise():
    with pytest.raises(ShapeError, match="differ in length"):
        Events([0, 1], [0], [0], (2, 1, 1))
    with pytest.raises(ShapeError, match="one axis"):
        Events([[0]], [0], [0], (2, 1, 1))
    with pytest.raises(ShapeError, match=r"\(T, B, N\.\.\.\)"):
        Events([0], [0], [0], (2,))
    with pytest.raises(ParameterError, match="ms_to_steps"):
        Events([0.5], [0], [0], (2, 1, 1))
    with pytest.raises(ShapeError, match="time and batch"):
        to_events(np.zeros(3))


def test_colliding_events_raise_unless_counted():
    events = Events([0, 0, 1], [0, 0, 0], [2, 2, 0], (2, 1, 3))
    with pytest.raises(SpikeError, match="got 2, expected at most 1"):
        to_dense(events)
    assert to_dense(events, multiple=True).tolist() == [[[0, 0, 2]], [[1, 0, 0]]]
    with pytest.raises(SpikeError, match="2 in bool"):
        to_dense(events, bool, multiple=True)


@pytest.mark.parametrize("dt", [0.1, 0.3, 1.0, 1e-3, 7.7, 1 / 3])
def test_steps_and_ms_round_trip(dt):
    steps = np.arange(20_000)
    assert np.array_equal(ms_to_steps(steps_to_ms(steps, dt), dt), steps)
    assert np.array_equal(ms_to_steps((steps + 0.5) * dt, dt), steps)
    assert ms_to_steps([-0.5 * dt], dt).tolist() == [-1]


def test_step_width_and_times_are_checked():
    for dt in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(ParameterError, match="step width"):
            ms_to_steps([1.0], dt)
    with pytest.raises(NonFiniteError):
        ms_to_steps([np.nan], 1.0)


def test_spikes_needs_no_torch():
    code = "import sys, spikeloom.spikes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Scores


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool])
def test_trap_46_counts_beyond_2048_are_exact(dtype):
    spikes = torch.ones(5001, 1, 2, dtype=dtype)
    spikes[::2, 0, 1] = 0
    assert decode.count(spikes).tolist() == [[5001.0, 2500.0]]
    assert decode.count(spikes).dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert decode.rate(spikes)[0, 1].item() == pytest.approx(2500 / 5001)
    if dtype == torch.float16:
        assert torch.ones(5001, dtype=dtype).sum(0).item() != 5001  # why it matters
        assert decode.membrane_mean(spikes * 100).tolist()[0][0] == 100.0


def test_scores_by_hand_and_their_gradients():
    v = torch.tensor([[[0.1, -1.0]], [[0.7, -3.0]], [[-0.2, -2.0]]]).requires_grad_()
    for read, values, gradient in (
        (decode.membrane_max, [[0.7, -1.0]], [[0, 1], [1, 0], [0, 0]]),
        (decode.membrane_last, [[-0.2, -2.0]], [[0, 0], [0, 0], [1, 1]]),
        (decode.membrane_mean, [[0.2, -2.0]], [[1 / 3] * 2] * 3),
    ):
        scores = read(v)
        assert torch.allclose(scores, torch.tensor(values))
        (found,) = torch.autograd.grad(scores.sum(), v)
        assert torch.allclose(found[:, 0], torch.tensor(gradient, dtype=torch.float32))
    spikes = torch.tensor([[[0.0, 1.0]], [[1.0, 1.0]]]).requires_grad_()
    (found,) = torch.autograd.grad(decode.rate(spikes).sum(), spikes)
    assert torch.equal(found, torch.full_like(spikes, 0.5))


def test_first_spike_of_silent_neurons_is_infinite():
    spikes = torch.zeros(6, 1, 3)
    spikes[4:, 0, 0] = 1
    spikes[0, 0, 1] = 1
    times = decode.first_spike(spikes)
    assert times.tolist() == [[4.0, 0.0, math.inf]]
    assert times.clamp(max=6).tolist() == [[4.0, 0.0, 6.0]]


@pytest.mark.parametrize("read", [decode.count, decode.rate, decode.first_spike])
def test_spikes_must_be_spikes(read):
    for bad in (0.5, -1.0, math.nan, math.inf):
        with pytest.raises(SpikeError, match=r"expected 0 or 1\. Decode a membrane"):
            read(torch.full((2, 1, 1), bad))
        with pytest.raises(SpikeError, match="whole numbers"):
            read(torch.full((2, 1, 1), bad), multiple=True)
    with pytest.raises(SpikeError, match="multiple=True"):
        read(torch.full((2, 1, 1), 3.0))
    for shape in ((0, 1, 1), (3,)):
        with pytest.raises(ShapeError):
            read(torch.zeros(shape))
    assert decode.count(torch.full((2, 1, 1), 3.0), multiple=True).item() == 6.0


# Decisions


@pytest.mark.parametrize("read", [decode.count, decode.rate, decode.membrane_max, decode.membrane_mean])
def test_trap_32_a_silent_network_is_not_class_0(read):
    decision = decode.classify(read(torch.zeros(20, 4, 10)))
    assert decision.prediction.tolist() == [-1] * 4
    assert decision.silent.all()
    assert not decision.tied.any()
    result = decode.accuracy(decision, torch.zeros(4, dtype=torch.long))
    assert (result.correct, result.silent, result.tied, result.wrong) == (0.0, 1.0, 0.0, 0.0)


def test_trap_32_silent_and_tied_latencies():
    spikes = torch.zeros(5, 4, 3)
    spikes[0, 0] = 1  # all at step 0: tied, although every time is 0
    spikes[2, 1, 1:] = 1  # two at once
    spikes[3, 2, 2] = spikes[4, 2, 0] = 1  # class 2
    decision = decode.classify(decode.first_spike(spikes), earliest=True)
    assert decision.prediction.tolist() == [-1, -1, 2, -1]
    assert decision.tied.tolist() == [True, True, False, False]
    assert decision.silent.tolist() == [False, False, False, True]
    assert decision.decided.tolist() == [False, False, True, False]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=6), st.randoms())
def test_decisions_match_a_plain_loop_and_permute_with_classes(rows, random):
    order = random.sample(range(3), 3)
    decision = decode.classify(torch.tensor(rows))
    permuted = decode.classify(torch.tensor(rows)[:, order])
    for n, row in enumerate(rows):
        winners = [c for c in range(3) if row[c] == max(row)]
        assert bool(decision.silent[n]) == (max(row) == 0)
        assert bool(decision.tied[n]) == (max(row) > 0 and len(winners) > 1)
        decided = max(row) > 0 and len(winners) == 1
        assert decision.prediction[n] == (winners[0] if decided else -1)
        assert permuted.prediction[n] == (order.index(winners[0]) if decided else -1)


def test_membranes_below_zero_are_not_silent():
    decision = decode.classify(torch.tensor([[-1.0, -2.0], [0.0, -1.0], [-1.0, -1.0]]))
    assert decision.prediction.tolist() == [0, 0, -1]
    assert not decision.silent.any()
    assert decision.tied.tolist() == [False, False, True]


def test_accuracy_adds_up_over_uneven_batches():
    scores = torch.tensor([[3.0, 1.0], [0.0, 2.0], [1.0, 1.0], [0.0, 0.0], [5.0, 0.0]])
    labels = torch.tensor([0, 0, 1, 0, 0])
    whole = decode.accuracy(decode.classify(scores), labels)
    parts = [decode.accuracy(decode.classify(scores[cut]), labels[cut]) for cut in (slice(0, 4), slice(4, 5))]
    assert parts[0] + parts[1] == whole
    assert (whole.correct, whole.wrong, whole.tied, whole.silent) == (0.4, 0.2, 0.2, 0.2)


def test_unusable_scores_and_labels_raise():
    for bad in (math.nan, math.inf):
        with pytest.raises(NonFiniteError, match="scores"):
            decode.classify(torch.tensor([[bad, 1.0]]))
    with pytest.raises(NonFiniteError, match="times"):
        decode.classify(torch.tensor([[-math.inf, 1.0]]), earliest=True)
    with pytest.raises(ShapeError, match="over time first"):
        decode.classify(torch.zeros(4, 2, 3))
    decision = decode.classify(torch.zeros(2, 3))
    for labels in (torch.tensor([0, -1]), torch.tensor([0, 3])):  # -1 would "match" an undecided sample
        with pytest.raises(ParameterError, match="out of range"):
            decode.accuracy(decision, labels)
    with pytest.raises(ParameterError, match="integer"):
        decode.accuracy(decision, torch.tensor([0.0, 1.0]))
    with pytest.raises(ShapeError, match="not swapped"):
        decode.accuracy(decision, torch.tensor([0, 1, 2]))
    with pytest.raises(ShapeError, match="empty"):
        decode.accuracy(decode.classify(torch.zeros(0, 3)), torch.zeros(0, dtype=torch.long))


def test_trap_33_swapped_batch_and_time_raise():
    labels = torch.zeros(8, dtype=torch.long)
    assert check_labels(torch.zeros(5, 8, 3), labels) is labels
    with pytest.raises(ShapeError, match="batch and time look swapped"):
        check_labels(torch.zeros(8, 5, 3), labels)
    with pytest.raises(ShapeError, match="do not fit the batch"):
        check_labels(torch.zeros(5, 7, 3), labels)
    with pytest.raises(ShapeError, match=r"\[T, B, C\]"):
        check_labels(torch.zeros(8, 3), labels)
