"""Currents as functions of time."""

import numpy as np
import pytest

from spikeloom.errors import ParameterError
from spikeloom.stimuli import Ramp, Steps, pulses


def test_a_step_holds_from_its_time_on() -> None:
    steps = Steps((10.0, 2.0), (20.0, -1.0), before=0.5)
    assert steps(np.array([0.0, 9.999, 10.0, 19.999, 20.0, 1e6])).tolist() == [0.5, 0.5, 2.0, 2.0, -1.0, -1.0]
    assert steps.breaks() == (10.0, 20.0)


def test_a_sum_adds_values_and_gathers_breaks() -> None:
    both = Ramp(slope=0.5, start=5.0, stop=25.0) + pulses((10.0, 12.0), (12.0 + 3.0, 16.0), amplitude=4.0, baseline=1.0)
    t = np.array([0.0, 5.0, 11.0, 12.0, 15.5, 25.0])
    assert both(t).tolist() == [1.0, 1.0, 7.0, 4.5, 9.25, 1.0]
    assert both.breaks() == (5.0, 10.0, 12.0, 15.0, 16.0, 25.0)


@pytest.mark.parametrize(
    "changes", [((2.0, 1.0), (1.0, 0.0)), ((1.0, 1.0), (1.0, 2.0)), ((1.0, float("nan")),), ({0.0: 0.0, 3.0: 20.0},)]
)
def test_steps_out_of_order_or_not_finite_are_refused(changes) -> None:
    with pytest.raises(ParameterError, match="expected"):
        Steps(*changes)


@pytest.mark.parametrize("dt", [0.1, 0.15, 0.3, 0.35, 0.7, 0.06])
def test_a_step_begins_with_the_step_that_begins_then(dt: float) -> None:
    times = np.arange(400) * dt
    for k in range(1, 400):
        when = float(f"{k * dt:.6g}")  # as it is written: 0.45 for 3 * 0.15 = 0.44999999999999996
        assert np.count_nonzero(Steps((when, 1.0))(times)) == 400 - k
        assert np.flatnonzero(Ramp(slope=1.0, stop=when)(times)).tolist() == list(range(1, k))


@pytest.mark.parametrize("changes", [(("a", 1.0),), ((None, 1.0),), ((1.0, "x"),), ((1.0, True),)])
def test_steps_of_texts_are_refused(changes) -> None:
    with pytest.raises(ParameterError, match=r"a step current: got .*, expected finite numbers"):
        Steps(*changes)


@pytest.mark.parametrize("given", [{"slope": "x"}, {"slope": 1.0, "start": 5.0, "stop": 4.0}, {"slope": np.nan}])
def test_ramps_that_cannot_be(given) -> None:
    with pytest.raises(ParameterError, match=r"a ramp: got Ramp.*, expected finite numbers, start before stop"):
        Ramp(**given)
