"""Extra beats and noise stay out of the median beat; what was left out is counted."""

from __future__ import annotations

import numpy as np
import pytest

from explainability.median_beats import (
    BeatRules,
    choose_beats,
    median_beats,
    sentence,
    window_spans,
)

PEAKS = np.array([80, 180, 280, 380, 480, 580, 680, 780, 880])
SIZES = np.linspace(0.4, 1.2, 12)


def record(peaks=PEAKS, *, odd=(), rate_hz=100):
    """Return an ECG of equal beats; those numbered in `odd` are wide and upside down."""
    times = np.arange(1000)
    trace = np.zeros(1000)
    for number, peak in enumerate(peaks):
        height, width = (-1.5, 8) if number in odd else (1.0, 2)
        trace += height * np.exp(-0.5 * ((times - peak) / width) ** 2)
        trace += 0.3 * np.exp(-0.5 * ((times - peak - 30) / 5) ** 2)
    return trace[:, None] * SIZES


def test_equal_beats_are_all_used():
    choice = choose_beats(record(), PEAKS, 100)
    np.testing.assert_array_equal(choice.r_peaks, PEAKS)
    assert (choice.n_beats, choice.n_cut, choice.n_early, choice.n_unlike) == (9, 0, 0, 0)
    assert choice.note == ""


def test_each_beat_left_out_has_one_reason():
    peaks = np.array([10, 110, 210, 310, 375, 510, 610, 710, 810, 910, 990])
    choice = choose_beats(record(peaks, odd=(4, 7)), peaks, 100)
    # 10 and 990 are cut off by the record's end; 375 comes early and 710 has another shape.
    assert (choice.n_beats, choice.n_cut, choice.n_early, choice.n_unlike) == (11, 2, 1, 1)
    np.testing.assert_array_equal(choice.r_peaks, [110, 210, 310, 510, 610, 810, 910])


def test_early_beats_count_in_an_irregular_rhythm():
    peaks = np.cumsum([60, 120, 60, 130, 70, 125, 65, 130, 60])
    choice = choose_beats(record(peaks), peaks, 100, rules=BeatRules(after_seconds=0.3))
    assert choice.n_early == 0
    assert len(choice.r_peaks) == 9
    assert choice.note == "irregular rhythm: early beats count"


def test_too_few_alike_means_all_and_says_so():
    rng = np.random.default_rng(0)
    choice = choose_beats(rng.normal(size=(1000, 12)), PEAKS, 100)
    assert len(choice.r_peaks) == 9
    assert choice.note == "only 0 beats on time and alike: all 9 used"
    assert choice.n_unlike == 0


@pytest.mark.parametrize(("peaks", "note"), [([], "no beat found"), ([3, 990], "no whole beat")])
def test_records_without_beats_say_why(peaks, note):
    choice = choose_beats(record(), np.array(peaks, dtype=int), 100)
    assert choice.note == note
    found = median_beats(record()[None], [np.array(peaks, dtype=int)], 100)
    assert np.isnan(found.ecg).all()
    assert found.table.loc[0, "n_used"] == 0
    assert sentence(found.table).endswith("1 records without a beat.")


def test_the_median_beat_is_the_planted_beat_and_maps_use_the_same_beats():
    odd = (2, 5)
    ecg = np.stack([record(odd=odd), record()])
    maps = np.zeros((2, 1000))
    maps[0, PEAKS] = np.where(np.isin(range(9), odd), 100.0, 1.0)
    found = median_beats(ecg, [PEAKS, PEAKS], 100, maps={"map": maps, "cells": ecg})
    at_r = int(np.argmin(np.abs(found.seconds)))
    np.testing.assert_allclose(found.ecg[0], found.ecg[1], atol=1e-9)
    np.testing.assert_allclose(found.ecg[0, at_r], SIZES, atol=1e-3)
    assert found.maps["map"][0, at_r] == 1.0  # the odd beats' 100 is not in it
    assert found.table["n_used"].tolist() == [7, 9]
    assert found.table["n_unlike"].tolist() == [2, 0]
    assert sentence(found.table) == (
        "16 of 18 beats used (0 cut off by the record's end, 0 early, 2 unlike the median)."
    )


def test_spans_are_where_most_beats_are_in_the_wave():
    seconds = np.array([-0.1, 0.0, 0.1, 0.2])
    windows = {
        "QRS": np.array([[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.2, 0.0]]),
        "P": np.array([[0.4, 0.0, 0.0, 0.0], [np.nan] * 4]),
    }
    assert window_spans(windows, seconds) == {"QRS": (0.0, 0.1)}


def test_refusals():
    with pytest.raises(ValueError, match=r"^r_peaks must hold one entry for each of the 1 records"):
        median_beats(record()[None], [], 100)
    with pytest.raises(ValueError, match=r"^maps2 must hold one entry for each of the 1 records"):
        median_beats(record()[None], [PEAKS], 100, maps={"maps2": np.zeros((2, 1000))})
    with pytest.raises(ValueError, match=r"^min_correlation must be in \[0, 1\), got 1\. Use"):
        BeatRules(min_correlation=1)
