from __future__ import annotations

import re

import numpy as np
import pytest

from evaluation.claims import Difference, events_warning, judge


def claim(low, high, *, n_events=55, n=314, margin=0.05):
    seen = Difference("new", "old", (low + high) / 2, low, high, n=n, n_events=n_events)
    return judge(seen, margin=margin)


@pytest.mark.parametrize(
    ("low", "high", "verdict", "words"),
    [
        (0.01, 0.11, "adds", "new adds to old (AUROC difference +0.060, 95% interval +0.010 to"),
        (0.01, 0.03, "adds", "The gain is smaller than the declared margin of 0.05."),
        (-0.06, 0.04, "does not add", "A smaller gain or loss is not excluded."),
        (-0.09, -0.01, "does not add", "It is worse than old."),
        (-0.02, 0.12, "inconclusive", "this is not evidence of no difference."),
        (0.0, 0.12, "inconclusive", "declared margin 0.05"),
        (-0.02, 0.05, "inconclusive", "n = 314 patients, 55 events"),
        (np.nan, np.nan, "inconclusive", "has no interval"),
    ],
)
def test_the_rule(low, high, verdict, words):
    result = claim(low, high)
    assert result.verdict == verdict
    assert words in result.sentence


@pytest.mark.parametrize(("n_events", "n"), [(9, 314), (305, 314), (0, 314)])
def test_under_ten_events_nothing_is_concluded(n_events, n):
    result = claim(0.02, 0.3, n_events=n_events, n=n)
    assert result.verdict == "inconclusive"
    assert "cannot be concluded" in result.sentence
    assert result.warning


def test_no_sentence_says_no_difference():
    for low, high in [(-0.2, 0.2), (-0.06, 0.04), (-0.02, 0.02), (0.01, 0.2)]:
        sentence = claim(low, high).sentence.replace("not evidence of no difference", "")
        assert "no difference" not in sentence


def test_margin_must_be_declared():
    message = "margin must be above 0, got 0. Declare the smallest difference that would change"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        claim(0.0, 0.1, margin=0)


@pytest.mark.parametrize(
    ("n_events", "n", "start"),
    [
        (0, None, "0 events: no discrimination, calibration slope, threshold or comparison can"),
        (1, None, "Only 1 event: it cannot be concluded whether the risks discriminate"),
        (9, 100, "Only 9 events: it cannot be concluded"),
        (40, 40, "40 events: no discrimination"),
        (40, 45, "Only 5 patients without the event: specificity, AUROC and comparisons cannot"),
        (55, 314, "55 events: too few (under 200) for the shape of the calibration curve"),
        (250, 1000, ""),
    ],
)
def test_events_warnings(n_events, n, start):
    text = events_warning(n_events, n)
    assert text.startswith(start)
    assert bool(text) == bool(start)
