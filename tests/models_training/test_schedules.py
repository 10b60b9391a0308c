"""Step sizes along a training."""

import re

import numpy as np
import pytest

from models_training.schedules import rate_share


def test_the_cosine_is_the_one_trainings_had_so_far():
    for epoch in range(10):
        expected = max(0.5 * (1 + np.cos(np.pi * epoch / 10)), 0.01)
        assert rate_share("cosine", epoch / 10) == expected


@pytest.mark.parametrize(
    ("progress", "share"),
    [(0, 0.1), (0.225, 0.55), (0.45, 1), (0.675, 0.55), (0.9, 0.1), (0.95, 0.0505), (1, 0.001)],
)
def test_one_cycle_rises_falls_and_dies_away_in_straight_lines(progress, share):
    assert rate_share("one_cycle", progress) == pytest.approx(share)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_a_warm_up_rises_in_a_straight_line_and_the_rest_follows(schedule):
    assert [rate_share(schedule, p, warm_up=0.2) for p in (0, 0.1)] == [0, 0.5]
    assert rate_share(schedule, 0.2, warm_up=0.2) == 1
    middle = rate_share(schedule, 0.6, warm_up=0.2)
    assert middle == pytest.approx(0.5 if schedule == "cosine" else 1.0)


def test_what_is_refused():
    with pytest.raises(
        ValueError,
        match=re.escape("schedule must be one of cosine, one_cycle, constant, got 'step'. Use"),
    ):
        rate_share("step", 0.5)
    with pytest.raises(ValueError, match=r"warmup_epochs must be 0 with one_cycle, got 0\.2 of"):
        rate_share("one_cycle", 0.5, warm_up=0.2)
