from __future__ import annotations

import numpy as np
import pytest

from evaluation.auroc_intervals import auroc_interval, newcombe_interval
from evaluation.discrimination import delong_interval


def variance(theta, m, n):
    """Newcombe 2006, method 5, written out again."""
    k = (m + n) / 2 - 1
    clustering = 1 + k * (1 - theta) / (2 - theta) + k * theta / (1 + theta)
    return theta * (1 - theta) * clustering / (m * n)


@pytest.mark.parametrize(("auc", "m", "n"), [(0.5, 6, 57), (0.86, 11, 52), (0.99, 53, 261)])
def test_newcombe_bounds_are_where_the_score_is_at_the_quantile(auc, m, n):
    for bound in newcombe_interval(auc, m, n):
        z = abs(auc - bound) / np.sqrt(variance(bound, m, n))
        assert z == pytest.approx(1.959964, rel=1e-5)


def test_newcombe_mirrors_and_stays_inside():
    low, high = newcombe_interval(0.9, 6, 20)
    mirrored = newcombe_interval(1 - 0.9, 6, 20)
    assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-9)
    assert 0 < low < 0.9 < high < 1


@pytest.mark.parametrize("n_events", [1, 6, 200])
def test_perfect_separation_has_a_lower_bound(n_events):
    low, high = newcombe_interval(1.0, n_events, 57)
    assert high == 1
    assert (1 - low) ** 2 == pytest.approx(1.959964**2 * variance(low, n_events, 57), rel=1e-4)
    assert newcombe_interval(0.0, n_events, 57) == pytest.approx((0.0, 1 - low), abs=1e-9)


@pytest.mark.parametrize(("auc", "m", "n"), [(np.nan, 5, 5), (0.8, 0, 5), (0.8, 5, 0)])
def test_nothing_to_estimate_gives_no_interval(auc, m, n):
    assert np.isnan(newcombe_interval(auc, m, n)).all()


def test_the_wider_of_two_holds_both():
    for spread in (0.02, 0.1):
        both = (
            newcombe_interval(0.8, 11, 52),
            delong_interval(0.8, spread**2, degrees_of_freedom=10),
        )
        low, high = auroc_interval(0.8, spread**2, 11, 52)
        assert (low, high) == (min(b[0] for b in both), max(b[1] for b in both))


@pytest.mark.parametrize(("auc", "v"), [(1.0, 0.0), (0.7, np.nan)])
def test_without_a_variance_newcombe_stands_alone(auc, v):
    assert auroc_interval(auc, v, 1, 62) == newcombe_interval(auc, 1, 62)
