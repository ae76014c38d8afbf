"""Perturbations against what probability theory says of them, and curves against plain evaluation."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

import spikeloom as sl
from spikeloom.data.arrays import Labelled
from spikeloom.errors import ParameterError
from spikeloom.learn.losses import cross_entropy_of_mean
from spikeloom.nets.mlp import mlp
from spikeloom.nets.twin import ann_twin
from spikeloom.nn.recording import record
from spikeloom.train.evaluate import Task, evaluate
from spikeloom.train.perturbations import (
    DeadNeurons,
    InputNoise,
    Perturbation,
    SpikeDeletion,
    SpikeJitter,
    WeightNoise,
)
from spikeloom.train.places import hidden_places
from spikeloom.train.robustness import Curve, evaluations, robustness_curves, standard_sweeps

KINDS = (InputNoise, SpikeDeletion, SpikeJitter, WeightNoise, DeadNeurons)


def passing(net: torch.nn.Module) -> Task:
    """A task whose encoder takes images that are sequences [B, T, ...]."""
    return Task(net, lambda images, key: images.transpose(0, 1).contiguous(), cross_entropy_of_mean)


def relay(width: int) -> sl.nn.Sequential:
    """A layer that fires exactly where 1 arrives, and a read-out."""
    return sl.nn.Sequential(sl.nn.Neuron(sl.LIF()), torch.nn.Linear(width, 3), sl.nn.Neuron(sl.LI()))


def arriving(perturbation: Perturbation, spikes: torch.Tensor, *, seed: int = 0, key: int = 0) -> torch.Tensor:
    """What is left of ``spikes`` [T, B, N] behind the hidden layer of a relay."""
    task = passing(relay(spikes.shape[-1]))
    with perturbation.applied(task, seed) as disturbed, torch.no_grad(), record(task.net) as recording:
        disturbed.net(disturbed.encode(spikes.transpose(0, 1), key))
    found = recording["0"].spikes
    assert found is not None
    return found


def random_data(inputs: int, samples: int = 60, classes: int = 3) -> Labelled:
    rng = np.random.default_rng(0)
    return Labelled(rng.random((samples, inputs), np.float32), rng.integers(0, classes, samples))


def small_task(seed: int = 0, *, twin: bool = False) -> Task:
    """A network of 20-30-30-3, or its twin with the same weights."""
    torch.manual_seed(seed)
    net = mlp([20, 30, 30, 3], sl.LIF(tau=5.0, v_threshold=0.3), sl.LI(tau=5.0))
    return Task(
        ann_twin(net) if twin else net, lambda x, key: sl.encode.direct(x, 1 if twin else 6), cross_entropy_of_mean
    )


def spikes_everywhere(steps: int, batch: int, neurons: int) -> torch.Tensor:
    return torch.ones(steps, batch, neurons)


# What each perturbation does


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_deletion_keeps_a_binomial_number(p: float) -> None:
    n = 10 * 20 * 100
    kept = arriving(SpikeDeletion(p), spikes_everywhere(10, 20, 100))
    assert set(kept.unique().tolist()) <= {0.0, 1.0}
    assert abs(kept.sum().item() - n * (1 - p)) < 4 * math.sqrt(n * p * (1 - p))
    # Independent over steps and over neurons: every marginal has the binomial spread, too.
    for axes, size in (((0, 1), 200), ((1, 2), 2000), ((0, 2), 1000)):
        sums = kept.sum(axes)
        assert (sums - size * (1 - p)).abs().max() < 5 * math.sqrt(size * p * (1 - p))
        assert sums.std() > 0


def test_deletion_at_its_ends() -> None:
    spikes = spikes_everywhere(4, 5, 6)
    assert torch.equal(arriving(SpikeDeletion(0.0), spikes), spikes)
    assert arriving(SpikeDeletion(1.0), spikes).sum() == 0


def test_what_is_lost_at_one_level_is_lost_at_every_higher_one() -> None:
    spikes = spikes_everywhere(5, 20, 50)
    for kind in (SpikeDeletion, DeadNeurons):
        less, more = arriving(kind(0.2), spikes), arriving(kind(0.6), spikes)
        assert bool((more <= less).all())
        assert more.sum() < less.sum()


@pytest.mark.parametrize(("share", "dead"), [(0.0, 0), (0.24, 2), (0.25, 3), (0.3, 3), (1.0, 10)])
def test_dead_neurons_are_exactly_as_many_as_asked(share: float, dead: int) -> None:
    spikes = spikes_everywhere(4, 7, 10)
    alive = arriving(DeadNeurons(share), spikes)
    silent = alive.sum((0, 1)) == 0
    assert int(silent.sum()) == dead
    assert bool((alive[:, :, ~silent] == 1).all())
    assert torch.equal(alive, arriving(DeadNeurons(share), spikes, key=1))  # in every batch the same


def test_dead_neurons_of_a_convolution_are_single_places() -> None:
    net = sl.nn.Sequential(sl.nn.Neuron(sl.LIF()), torch.nn.Flatten(), torch.nn.Linear(2 * 5 * 5, 3))
    task = passing(net)
    with DeadNeurons(0.5).applied(task, 3) as disturbed, record(net) as recording:
        disturbed.net(torch.ones(3, 2, 2, 5, 5))
    counts = recording["0"].spikes.sum((0, 1))  # type: ignore[union-attr]
    assert sorted(counts.flatten().tolist()) == [0.0] * 25 + [6.0] * 25


def test_jitter_has_the_spread_it_says() -> None:
    spikes = torch.zeros(101, 10, 1000)
    spikes[50] = 1.0
    width = 3.0
    moved = arriving(SpikeJitter(width), spikes)
    assert torch.equal(moved.sum(0), torch.ones(10, 1000))  # far from ends and neighbours nothing is lost
    shift = moved.argmax(0).double() - 50
    n, variance = shift.numel(), width**2 + 1 / 12  # the second term comes from rounding (Sheppard)
    assert abs(shift.mean().item()) < 4 * math.sqrt(variance / n)
    assert abs(shift.var().item() - variance) < 4 * variance * math.sqrt(2 / n)
    stays = math.erf(0.5 / width / math.sqrt(2))
    assert abs((shift == 0).double().mean().item() - stays) < 4 * math.sqrt(stays * (1 - stays) / n)


def test_jitter_folds_back_at_the_ends() -> None:
    width, neurons = 1.0, 20_000
    for end in (0, 9):
        spikes = torch.zeros(10, 1, neurons)
        spikes[end] = 1.0
        moved = arriving(SpikeJitter(width), spikes)
        assert moved.sum().item() == neurons  # alone, no spike is lost
        # Shifts 0 and -1 (or +1) both end on the step itself.
        phi = [0.5 * (1 + math.erf(z / math.sqrt(2))) for z in (-1.5, 0.5)]
        stays = phi[1] - phi[0]
        found = moved[end].mean().item()
        assert abs(found - stays) < 4 * math.sqrt(stays * (1 - stays) / neurons)


def test_jitter_merges_spikes_that_meet() -> None:
    spikes = spikes_everywhere(10, 4, 50)
    moved = arriving(SpikeJitter(2.0), spikes)
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    assert 0.4 * spikes.sum() < moved.sum() < 0.9 * spikes.sum()
    assert torch.equal(arriving(SpikeJitter(1e-3), spikes), spikes)  # less than half a step


def test_jitter_far_wider_than_the_sequence_stays_inside() -> None:
    spikes = torch.zeros(4, 3, 500)
    spikes[1] = 1.0
    moved = arriving(SpikeJitter(1000.0), spikes)
    assert torch.equal(moved.sum(0), torch.ones(3, 500))
    # Mirrored many times, every step is equally likely.
    assert ((moved.mean((1, 2)) - 0.25).abs() < 4 * math.sqrt(0.25 * 0.75 / 1500)).all()


@pytest.mark.parametrize("level", [0.1, 0.7])
def test_weight_noise_is_relative_to_the_rms(level: float) -> None:
    net = sl.nn.Sequential(torch.nn.Linear(300, 200), sl.nn.Neuron(sl.LIF()), torch.nn.Linear(200, 3))
    with torch.no_grad():
        net[0].weight.mul_(7.0)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    with WeightNoise(level).applied(passing(net), 5) as disturbed:
        for name, p in disturbed.net.named_parameters():
            error = (p.detach() - before[name]).double()
            if "bias" in name:
                assert not error.any()
                continue
            n, rms = p.numel(), before[name].double().square().mean().sqrt()
            assert abs(error.square().mean().sqrt() / rms - level).item() < 4 * level / math.sqrt(2 * n)
            assert abs(error.mean() / rms).item() < 4 * level / math.sqrt(n)


def test_weight_noise_grows_along_one_direction() -> None:
    task = small_task()
    weight = task.net[0].weight.detach().clone()
    errors = []
    for level in (0.1, 0.2):
        with WeightNoise(level).applied(task, 0):
            errors.append(task.net[0].weight.detach() - weight)
    torch.testing.assert_close(errors[1], 2 * errors[0], rtol=1e-3, atol=1e-6)


def test_weight_noise_leaves_the_parameters_of_norms() -> None:
    net = sl.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.LayerNorm((6,)), torch.nn.BatchNorm1d(6))
    net[2].weight = torch.nn.Parameter(torch.ones(3, 6))  # as norms with a factor per step have
    with WeightNoise(0.5).applied(passing(net), 0):
        assert bool((net[2].weight == 1).all())
        assert bool((net[1].weight == 1).all())


def test_weight_noise_leaves_the_parameters_of_neurons() -> None:
    tau = np.full((4, 1, 1), 10.0)  # one per channel: three axes, and no weight
    neuron = sl.nn.Neuron(sl.LIF(tau=tau), learn=("tau",))
    net = sl.nn.Sequential(torch.nn.Conv2d(1, 4, 3), neuron, torch.nn.Flatten(), torch.nn.Linear(36, 2))
    with WeightNoise(0.5).applied(passing(net), 0):
        assert torch.equal(neuron.learned()["tau"], torch.tensor(tau, dtype=torch.float32))


def test_input_noise_is_added_before_encoding() -> None:
    seen: list[torch.Tensor] = []
    task = small_task()
    listening = dataclasses.replace(task, encode=lambda x, key: (seen.append(x), task.encode(x, key))[1])
    images = torch.rand(500, 20)
    for perturbation in (InputNoise(0.3), InputNoise(0.6), InputNoise(0.3, clip=True)):
        with perturbation.applied(listening, 1) as disturbed:
            disturbed.encode(images, 11)
    noise = (seen[0] - images).double()
    assert abs(noise.std().item() - 0.3) < 4 * 0.3 / math.sqrt(2 * noise.numel())
    torch.testing.assert_close(seen[1] - images, 2 * (seen[0] - images), rtol=1e-3, atol=1e-6)
    assert seen[0].min() < 0
    assert seen[0].max() > 1
    assert torch.equal(seen[2], seen[0].clamp(0, 1))


def test_levels_that_make_no_sense_are_refused() -> None:
    for kind in KINDS:
        for level in (-0.1, math.nan, math.inf):
            with pytest.raises(ParameterError, match=kind.title):
                kind(level)
    for kind in (SpikeDeletion, DeadNeurons):
        with pytest.raises(ParameterError, match="0 to 1"):
            kind(1.01)


# The network stays what it was


def fingerprint(net: torch.nn.Module) -> tuple[object, ...]:
    parameters = tuple((n, id(p), p.data_ptr(), p.detach().numpy().tobytes()) for n, p in net.named_parameters())
    hooks = tuple(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules())
    return parameters, hooks, tuple(net.state_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_the_network_is_restored_to_the_bit(kind: type[Perturbation]) -> None:
    task = small_task()
    before = fingerprint(task.net)
    with kind(0.5).applied(task, 0) as disturbed:
        evaluate(disturbed, random_data(20), seed=0)
    assert fingerprint(task.net) == before
    with pytest.raises(RuntimeError, match="in the midst"), kind(0.5).applied(task, 0):
        raise RuntimeError("in the midst")
    assert fingerprint(task.net) == before


def test_shared_weights_are_disturbed_alike_and_restored() -> None:
    shared = torch.nn.Linear(4, 4)
    other = torch.nn.Linear(4, 4)
    other.weight = shared.weight
    net = sl.nn.Sequential(shared, sl.nn.Neuron(sl.LIF()), other, sl.nn.Neuron(sl.LI()))
    held = shared.weight
    with WeightNoise(0.5).applied(passing(net), 0):
        assert shared.weight is other.weight
        assert shared.weight is not held
    assert shared.weight is held
    assert other.weight is held


@pytest.mark.parametrize("kind", KINDS)
def test_without_strength_nothing_changes(kind: type[Perturbation]) -> None:
    task, data = small_task(), random_data(20)
    plain = evaluate(task, data, seed=0)
    with kind(0.0).applied(task, 1) as disturbed:
        found = evaluate(disturbed, data, seed=0)
    assert found.loss == plain.loss
    assert found.activity == plain.activity
    assert np.array_equal(found.predicted, plain.predicted)


# What the layers behind receive


@pytest.mark.parametrize("rate", [0.02, 1.0])  # few spikes take the sparse path of the linear layer
def test_the_next_layer_gets_what_the_recorder_says(rate: float) -> None:
    torch.manual_seed(0)
    net = sl.nn.Sequential(sl.nn.Neuron(sl.LIF()), torch.nn.Linear(256, 128), sl.nn.Neuron(sl.LI()))
    spikes = (torch.rand(8, 32, 256) < rate).float()
    with torch.no_grad():
        for perturbation in (SpikeDeletion(0.5), SpikeJitter(1.0), DeadNeurons(0.3)):
            with perturbation.applied(passing(net), 0) as disturbed, record(net) as recording:
                y, _ = disturbed.net(spikes)
            arrived = recording["0"].spikes
            assert arrived is not None
            assert not torch.equal(arrived, spikes)
            expected, _ = sl.nn.Sequential(net[1], net[2])(arrived)
            torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-6)


def recurrent_task() -> Task:
    torch.manual_seed(1)
    layer = sl.nn.Recurrent(sl.nn.Neuron(sl.LIF(tau=5.0)), 12)
    return passing(sl.nn.Sequential(torch.nn.Linear(8, 12), layer, torch.nn.Linear(12, 3)))


@pytest.mark.parametrize("kind", [SpikeDeletion, DeadNeurons])
def test_what_is_lost_does_not_come_back_in_a_recurrent_layer(kind: type[Perturbation]) -> None:
    task, x = recurrent_task(), 2 * torch.rand(9, 5, 8)
    layer = task.net[1]
    with torch.no_grad():
        y, whole = task.net(x)
        with kind(1.0).applied(task, 0) as disturbed:
            _, state = disturbed.net(x)
        weight = layer.weight.clone()
        layer.weight.zero_()
        _, alone = task.net(x)
        layer.weight.copy_(weight)
    assert torch.equal(state["1"]["neuron"]["v"], alone["1"]["neuron"]["v"])
    assert not torch.equal(state["1"]["neuron"]["v"], whole["1"]["neuron"]["v"])
    assert y.shape == (9, 5, 3)


def test_deletion_in_a_recurrent_layer_draws_anew_in_every_step() -> None:
    task = recurrent_task()
    with torch.no_grad():
        task.net[1].weight.zero_()
        task.net[0].bias.fill_(50.0)
        with SpikeDeletion(0.5).applied(task, 0) as disturbed, record(task.net) as recording:
            disturbed.net(disturbed.encode(torch.zeros(40, 9, 8), 0))
    kept = recording["1.neuron"].spikes
    assert kept is not None
    assert kept.shape == (9, 40, 12)
    assert abs(kept.mean().item() - 0.5) < 4 * math.sqrt(0.25 / kept.numel())
    assert not torch.equal(kept[0], kept[1])


def test_jitter_of_a_recurrent_layer_moves_what_goes_on() -> None:
    task, x = recurrent_task(), 2 * torch.rand(9, 5, 8)
    with torch.no_grad():
        with record(task.net) as recording:
            y, plain = task.net(x)
        fired = recording["1.neuron"].spikes
        with SpikeJitter(1.0).applied(task, 0) as disturbed, record(task.net) as recording:
            moved_y, state = disturbed.net(x)
    moved = recording["1.neuron"].spikes
    assert fired is not None
    assert moved is not None
    assert torch.equal(state["1"]["neuron"]["v"], plain["1"]["neuron"]["v"])  # within the layer all is as it was
    assert not torch.equal(moved, fired)
    assert bool((moved.sum(0) <= fired.sum(0)).all())
    torch.testing.assert_close(moved_y, torch.nn.functional.linear(moved, task.net[2].weight, task.net[2].bias))
    assert not torch.equal(moved_y, y)


def test_a_read_out_that_fires_is_no_hidden_layer() -> None:
    net = mlp([4, 5, 3], sl.LIF(), sl.LIF())
    assert [place.name for place in hidden_places(net)] == ["1"]
    assert [place.name for place in hidden_places(ann_twin(net))] == ["1"]
    alone = sl.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    assert [place.name for place in hidden_places(alone)] == ["1"]


def test_a_convolutional_network_and_its_twin_have_the_same_places() -> None:
    block = sl.nn.Residual(torch.nn.Conv2d(4, 4, 3, padding=1), sl.nn.ThresholdBatchNorm(4), sl.nn.Neuron(sl.LIF()))
    net = sl.nn.Sequential(
        *(torch.nn.Conv2d(1, 4, 3), sl.nn.TemporalBatchNorm(4, 3), sl.nn.Neuron(sl.LIF()), block),
        *(torch.nn.Flatten(), torch.nn.Linear(4 * 36, 5), sl.nn.Neuron(sl.LI())),
    )
    twin = ann_twin(net)
    assert [place.name for place in hidden_places(net)] == ["2", "3.block.2"]
    assert [place.name for place in hidden_places(twin)] == ["2", "3.block.2"]
    kept = []
    for each, steps in ((net, 3), (twin, 1)):
        task = Task(each, lambda x, key, steps=steps: sl.encode.direct(x, steps), cross_entropy_of_mean)
        data = Labelled(np.random.default_rng(0).random((9, 1, 8, 8), np.float32), np.arange(9) % 5)
        curves = robustness_curves(task, data, standard_sweeps(), seed=0, repeats=1)
        kept.append([curve.levels for curve in curves if not curve.skipped])
    assert (len(kept[0]), len(kept[1])) == (5, 4)
    with WeightNoise(0.3).applied(passing(net), 0), WeightNoise(0.3).applied(passing(twin), 0):
        assert torch.equal(net[0].weight, twin[0].weight)
        assert torch.equal(net[5].weight, twin[5].weight)


# The same disturbances for a network and its twin


def zeroed(task: Task, perturbation: Perturbation, images: torch.Tensor) -> list[torch.Tensor]:
    """Which outputs of each hidden layer are set to 0: everything is made to fire (or to be positive) first."""
    found: list[torch.Tensor] = []
    with torch.no_grad():
        for m in task.net:
            if isinstance(m, torch.nn.Linear):
                m.weight.zero_()
                m.bias.fill_(1.0)
    with perturbation.applied(task, 4) as disturbed, torch.no_grad():
        places = hidden_places(disturbed.net)
        handles = [
            p.module.register_forward_hook(lambda m, a, y: found.append(y[0][0] if isinstance(y, tuple) else y))
            for p in places
        ]
        disturbed.net(disturbed.encode(images, 77))
        for handle in handles:
            handle.remove()
    return [y == 0 for y in found]


@pytest.mark.parametrize("kind", [SpikeDeletion, DeadNeurons])
def test_the_twin_loses_the_same_activations(kind: type[Perturbation]) -> None:
    images = torch.rand(25, 20)
    spiking, twin = (zeroed(small_task(twin=t), kind(0.4), images) for t in (False, True))
    assert len(spiking) == len(twin) == 2
    for a, b in zip(spiking, twin, strict=True):
        assert torch.equal(a, b)
        assert 0.2 < a.double().mean() < 0.6
    assert not torch.equal(spiking[0], spiking[1])  # layers differ


def test_the_twin_gets_the_same_noise() -> None:
    spiking, twin = small_task(), small_task(twin=True)
    errors = []
    for task in (spiking, twin):
        before = [p.detach().clone() for p in task.net.parameters()]
        with WeightNoise(0.3).applied(task, 2) as disturbed:
            errors.append([p.detach() - b for p, b in zip(disturbed.net.parameters(), before, strict=True)])
        with InputNoise(0.3).applied(task, 2) as disturbed:
            errors[-1].append(disturbed.encode(torch.zeros(9, 20), 5)[0])
    assert len(errors[0]) == 7
    for a, b in zip(*errors, strict=True):
        assert torch.equal(a, b)


# Curves


def test_level_zero_is_the_plain_evaluation() -> None:
    task, data = small_task(), random_data(20)
    plain = evaluate(task, data, seed=9)
    curves = robustness_curves(task, data, standard_sweeps(), seed=9, repeats=2)
    assert [c.title for c in curves] == [kind.title for kind in KINDS]
    for curve in curves:
        assert curve.levels[0] == 0.0
        assert curve.accuracy[0] == (plain.accuracy.correct,) * 2
        assert curve.spikes[0] == (plain.spikes_per_neuron_step,) * 2
        assert (curve.mean[0], curve.sd[0]) == (plain.accuracy.correct, 0.0)
        assert all(len(row) == 2 for row in curve.accuracy)


def test_the_same_seed_gives_the_same_curves_and_another_one_others() -> None:
    task, data = small_task(), random_data(20)
    sweeps = [(SpikeDeletion(0.5),), (WeightNoise(1.0),), (InputNoise(1.0),)]
    first, again, other = (robustness_curves(task, data, sweeps, seed=s, repeats=2) for s in (0, 0, 1))
    assert first == again
    assert first != other
    assert all(len(set(curve.spikes[0])) == 2 for curve in first)  # repeats differ


def test_a_network_without_spikes_has_no_jitter_and_says_so() -> None:
    task, data = small_task(twin=True), random_data(20)
    curves = robustness_curves(task, data, standard_sweeps(), seed=0, repeats=1)
    assert [bool(c.skipped) for c in curves] == [False, False, True, False, False]
    assert "no spikes to move" in curves[2].plain()["skipped"]
    with pytest.raises(ParameterError, match="no spike times"), SpikeJitter(1.0).applied(task, 0):
        pass


def test_spikes_that_arrive_fall_with_the_share_that_is_lost() -> None:
    torch.manual_seed(0)
    net = mlp([20, 200, 3], sl.LIF(tau=5.0, v_threshold=0.2), sl.LI())
    task = Task(net, lambda x, key: sl.encode.direct(x, 10), cross_entropy_of_mean)
    (curve,) = robustness_curves(task, random_data(20), [(SpikeDeletion(0.0), SpikeDeletion(0.3))], seed=0, repeats=1)
    fired = curve.spikes[0][0] * 60 * 200 * 10
    left = curve.spikes[1][0] * 60 * 200 * 10
    assert fired > 1000
    assert abs(left - 0.7 * fired) < 4 * math.sqrt(fired * 0.21)


def test_the_bar_hears_as_many_steps_as_were_announced() -> None:
    for twin in (False, True):
        task, heard = small_task(twin=twin), list[str]()
        robustness_curves(task, random_data(20), standard_sweeps(), seed=0, repeats=2, step=heard.append)
        assert len(heard) == evaluations(task, standard_sweeps(), repeats=2)
        assert heard[0] == "undisturbed"


def test_curves_of_several_seeds_join() -> None:
    one = Curve("spike deletion", "p", (0.0, 0.5), ((0.9,), (0.5,)), ((0.1,), (0.05,)))
    two = dataclasses.replace(one, accuracy=((0.7,), (0.3,)))
    joined = one.joined(two)
    assert joined.accuracy == ((0.9, 0.7), (0.5, 0.3))
    assert joined.mean == pytest.approx((0.8, 0.4))
    assert joined.sd == pytest.approx((math.sqrt(0.02), math.sqrt(0.02)))
    with pytest.raises(ParameterError, match="belong together"):
        one.joined(dataclasses.replace(one, levels=(0.0, 0.6)))


def test_sweeps_that_make_no_sense_are_refused() -> None:
    task, data = small_task(), random_data(20)
    for sweep in ((), (SpikeDeletion(0.1), WeightNoise(0.1))):
        with pytest.raises(ParameterError, match="a sweep"):
            robustness_curves(task, data, [sweep], seed=0)
    with pytest.raises(ParameterError, match="repeats"):
        robustness_curves(task, data, [], seed=0, repeats=0)
