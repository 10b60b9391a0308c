"""Median beats of the beats that resemble one another, and maps lined up on the same beats.

An average over all beats of a record mixes extra beats and noise into the shape. Here a beat counts
if it is whole, not early, and like the record's median beat; how many were used and why the others
were not is told for every record, and so is the fallback where too few are left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from explainability.beats import align_on_r_peaks, beat_seconds, cut_beats

_FEWEST_BEATS = 3
_IRREGULAR_SHARE = 1 / 3  # more early beats than this are a rhythm, not extra beats


@dataclass(frozen=True)
class BeatRules:
    """Which beats count.

    Parameters
    ----------
    min_correlation : float
        Correlation with the record's median beat, over all leads together, 0 to 1.
    early_below : float
        A beat is early if the RR interval before it is below this part of the median interval.
    before_seconds, after_seconds : float
        Stretch around R.
    """

    min_correlation: float = 0.9
    early_below: float = 0.8
    before_seconds: float = 0.25
    after_seconds: float = 0.45

    def __post_init__(self) -> None:
        for name in ("min_correlation", "early_below"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be in [0, 1), got {value}. Use the default.")

    @property
    def stretch(self) -> dict[str, float]:
        """Arguments of `beats.cut_beats` and `beats.beat_seconds`."""
        return {"before_seconds": self.before_seconds, "after_seconds": self.after_seconds}


@dataclass(frozen=True)
class BeatChoice:
    """The beats of one record that count.

    Attributes
    ----------
    r_peaks : int array
        Samples of the R peaks of the beats used.
    n_beats, n_cut, n_early, n_unlike : int
        Beats found; left out because the record ends within them, because they come early, and
        because they do not resemble the median beat. Each beat has one reason, in this order.
    note : str
        What a reader must know: the fallback, or why there is no beat; "" otherwise.
    """

    r_peaks: np.ndarray
    n_beats: int
    n_cut: int
    n_early: int
    n_unlike: int
    note: str


@dataclass(frozen=True)
class MedianBeats:
    """Median beats of records, with maps on the same beats.

    Attributes
    ----------
    ecg : array of shape (n_records, n_beat_samples, n_leads)
        Median over the beats used, in mV; NaN where the record has none.
    maps : dict of arrays of shape (n_records, n_beat_samples[, n_leads])
        Mean over the same beats: contributions add up, medians of them do not.
    seconds : array of shape (n_beat_samples,)
        Relative to R.
    table : DataFrame
        One row a record: ``n_beats, n_used, n_cut, n_early, n_unlike, note``.
    """

    ecg: np.ndarray
    maps: dict[str, np.ndarray]
    seconds: np.ndarray
    table: pd.DataFrame


def choose_beats(
    signal_mv: np.ndarray, r_peaks: np.ndarray, rate_hz: float, *, rules: BeatRules | None = None
) -> BeatChoice:
    """Choose the beats of one record that are whole, on time and alike.

    Parameters
    ----------
    signal_mv : array of shape (n_samples, n_leads)
        ECG in mV.
    r_peaks : int array
        Samples of the R peaks, ascending.
    rate_hz : float
        Sampling rate.
    rules : BeatRules, optional
        Limits.

    Returns
    -------
    BeatChoice
        Where more than a third of the beats are early the rhythm is irregular and early beats
        count; where fewer than three beats are left, all whole beats are used. Both are noted.
    """
    rules = rules or BeatRules()
    peaks = np.asarray(r_peaks, dtype=int)
    before, after = (round(part * rate_hz) for part in rules.stretch.values())
    is_whole = (peaks >= before) & (peaks + after < len(signal_mv))
    if not is_whole.any():
        note = "no beat found" if len(peaks) == 0 else "no whole beat"
        return BeatChoice(peaks[:0], len(peaks), int((~is_whole).sum()), 0, 0, note)
    is_early = _is_early(peaks, rules.early_below) & is_whole
    notes = []
    if is_early.sum() > _IRREGULAR_SHARE * is_whole.sum():
        is_early[:] = False
        notes.append("irregular rhythm: early beats count")
    beats = cut_beats(signal_mv, peaks[is_whole], rate_hz, **rules.stretch)
    is_like = np.zeros(len(peaks), dtype=bool)
    is_like[is_whole] = _correlation_with_median(beats) >= rules.min_correlation
    is_used = is_whole & ~is_early & is_like
    if is_used.sum() < min(_FEWEST_BEATS, int(is_whole.sum())):
        notes.append(f"only {is_used.sum()} beats on time and alike: all {is_whole.sum()} used")
        is_used, is_early = is_whole, np.zeros_like(is_whole)
    n_early = int(is_early.sum())
    n_unlike = int((is_whole & ~is_used).sum()) - n_early
    return BeatChoice(
        peaks[is_used], len(peaks), int((~is_whole).sum()), n_early, n_unlike, "; ".join(notes)
    )


def median_beats(
    ecg: np.ndarray,
    r_peaks: Sequence[np.ndarray],
    rate_hz: float,
    *,
    maps: Mapping[str, np.ndarray] | None = None,
    rules: BeatRules | None = None,
) -> MedianBeats:
    """Return the median beat of every record, and the mean of its maps over the same beats.

    Parameters
    ----------
    ecg : array of shape (n_records, n_samples, n_leads)
        In mV.
    r_peaks : sequence of int arrays, length n_records
        From `delineation.wave_windows` or `r_peaks.detect_r_peaks`.
    rate_hz : float
        Sampling rate.
    maps : mapping of str to array of shape (n_records, n_samples[, n_leads]), optional
        Attributions, or wave windows: of a window the share of beats that lie in it is returned.
    rules : BeatRules, optional
        Which beats count.

    Returns
    -------
    MedianBeats

    Raises
    ------
    ValueError
        If the number of records differs.
    """
    rules, maps = rules or BeatRules(), dict(maps or {})
    lengths = {"r_peaks": len(r_peaks), **{name: len(rows) for name, rows in maps.items()}}
    for name, n_rows in lengths.items():
        if n_rows != len(ecg):
            raise ValueError(
                f"{name} must hold one entry for each of the {len(ecg)} records, got {n_rows}. "
                "Select the same rows."
            )
    seconds = beat_seconds(rate_hz, **rules.stretch)
    beats = np.full((len(ecg), len(seconds), ecg.shape[2]), np.nan)
    aligned = {
        name: np.full((len(ecg), len(seconds), *rows.shape[2:]), np.nan)
        for name, rows in maps.items()
    }
    rows = []
    for row, (signal, peaks) in enumerate(zip(ecg, r_peaks, strict=True)):
        choice = choose_beats(signal, peaks, rate_hz, rules=rules)
        rows.append({**vars(choice), "n_used": len(choice.r_peaks)})
        if len(choice.r_peaks):
            used = cut_beats(signal, choice.r_peaks, rate_hz, **rules.stretch)
            beats[row] = np.median(used, axis=0)
            for name, of_records in maps.items():
                aligned[name][row] = align_on_r_peaks(
                    of_records[row], choice.r_peaks, rate_hz, **rules.stretch
                )
    columns = ["n_beats", "n_used", "n_cut", "n_early", "n_unlike", "note"]
    return MedianBeats(beats, aligned, seconds, pd.DataFrame(rows, columns=columns))


def window_spans(
    windows: Mapping[str, np.ndarray], seconds: np.ndarray
) -> dict[str, tuple[float, float]]:
    """Return from when to when most beats are in each wave.

    Parameters
    ----------
    windows : mapping of str to array of shape (n_records, n_beat_samples)
        Shares of beats in the window, from `median_beats` with the masks as maps.
    seconds : array of shape (n_beat_samples,)
        Relative to R.

    Returns
    -------
    dict of str to (start, end)
        In seconds; a wave that lies nowhere in half of the records or more is left out.
    """
    spans = {}
    for name, shares in windows.items():
        known = shares[np.isfinite(shares).all(axis=1)]
        inside = seconds[known.mean(axis=0) >= 0.5] if len(known) else seconds[:0]
        if len(inside):
            spans[name] = (float(inside[0]), float(inside[-1]))
    return spans


def sentence(table: pd.DataFrame) -> str:
    """Return how many beats the median beats were made of, in one sentence for a caption."""
    n_fallback = int(table["note"].str.contains("used").sum())
    n_empty = int((table["n_used"] == 0).sum())
    words = (
        f"{table['n_used'].sum()} of {table['n_beats'].sum()} beats used "
        f"({table['n_cut'].sum()} cut off by the record's end, {table['n_early'].sum()} early, "
        f"{table['n_unlike'].sum()} unlike the median)"
    )
    if n_fallback:
        words += f"; in {n_fallback} records all beats, because too few were alike"
    return words + (f"; {n_empty} records without a beat" if n_empty else "") + "."


def _is_early(peaks: np.ndarray, early_below: float) -> np.ndarray:
    """Return which beats follow the one before too soon; the first never does."""
    if len(peaks) < 3:
        return np.zeros(len(peaks), dtype=bool)
    intervals = np.diff(peaks)
    return np.r_[False, intervals < early_below * np.median(intervals)]


def _correlation_with_median(beats: np.ndarray) -> np.ndarray:
    """Return the correlation of each beat (n, samples, leads) with the median, leads together."""
    centred = beats - beats.mean(axis=1, keepdims=True)
    median = np.median(centred, axis=0)
    norm = np.sqrt((centred**2).sum(axis=(1, 2)) * (median**2).sum())
    product = (centred * median).sum(axis=(1, 2))
    return np.divide(product, norm, out=np.zeros(len(beats)), where=norm > 0)
