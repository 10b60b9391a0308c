"""SYNTHETIC 12-lead ECGs: rhythm, beats and noise rendered at any sampling rate.

Low-pass filtering a Gaussian in time gives a wider, lower Gaussian. The anti-alias filter of
the simulated recorder is therefore applied in closed form: the variance of its impulse response is
added to that of every wave. What a low rate cannot show (notches) fades as it would in a hospital.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from data_processing.synthetic_heart import Hearts, draw_hearts
from data_processing.synthetic_noise import add_fibrillation_waves, electrode_noise
from data_processing.synthetic_rhythm import Rhythm, draw_rhythm
from data_processing.synthetic_settings import SyntheticSettings
from data_processing.synthetic_truth import LEADS_FROM_INDEPENDENT, SIGNATURES

_BATCH_SAMPLES = (
    64_000  # samples rendered together: large enough to vectorise, small enough to cache
)
# Recorder low-pass as a Gaussian impulse response: SD 0.45 samples (-3 dB at 0.29 of the rate),
# and never wider open than 150 Hz, the usual diagnostic bandwidth.
_FILTER_SAMPLES, _FILTER_SECONDS = 0.45, 0.0009


def simulate_ecgs(
    patients: pd.DataFrame,
    settings: SyntheticSettings,
    *,
    seed: int | None = None,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Render one ECG for every row.

    Parameters
    ----------
    patients : DataFrame, n rows
        Rows of ``simulate_patients``, repeated for several ECGs of a patient. Needed:
        ``patient_number`` and the ``z_`` latents. ``ecg_number`` tells the ECGs of a patient
        apart; without it they are counted in the order of the rows.
    settings : SyntheticSettings
        ``rate_hz`` and ``duration_seconds`` are used. The same heart beats at every rate.
    seed : int, optional
        ``settings.seed`` by default.
    out : ndarray of float32, shape (n, n_samples, 12), optional
        Where to write (a memory map when the signals outgrow memory).

    Returns
    -------
    signals : ndarray of float32, shape (n, n_samples, 12)
        Millivolts, leads I II III aVR aVL aVF V1 to V6.
    truth : DataFrame, n rows
        ``patient_number``, ``ecg_number``, ``r_peak_seconds`` and ``is_ectopic`` (an array a
        record), ``heart_rate_bpm``, ``has_left_bundle``, ``is_fibrillating``, ``lateral_t_mv``
        (by which the T wave of V5 is lowered), ``slur_mv``, ``fragment_mv``,
        ``ectopic_probability`` (of a beat).

    Raises
    ------
    ValueError
        If a column is missing or ``out`` has another shape.

    References
    ----------
    McSharry 2003, doi 10.1109/TBME.2003.808805. Sameni 2007, doi 10.1155/2007/32078.
    """
    rows = _check_rows(patients)
    shape = (len(rows), settings.n_samples, 12)
    signals = np.empty(shape, np.float32) if out is None else out
    if signals.shape != shape or signals.dtype != np.float32:
        raise ValueError(
            f"out must be float32 of shape {shape}, got {signals.dtype} of shape "
            f"{signals.shape}. Allocate it with these."
        )
    seed = settings.seed if seed is None else seed
    step = max(1, _BATCH_SAMPLES // settings.n_samples)
    truth = []
    for start in range(0, len(rows), step):
        batch = rows.iloc[start : start + step]
        signals[start : start + step], part = _render(batch, settings, seed)
        truth.append(part)
    return signals, pd.concat(truth, ignore_index=True) if truth else pd.DataFrame()


def _check_rows(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the needed columns, with ``ecg_number`` counted where it is absent."""
    needed = ["patient_number", *(f"z_{sign.name}" for sign in SIGNATURES)]
    missing = [name for name in needed if name not in patients.columns]
    if missing:
        raise ValueError(
            f"patients must be rows of simulate_patients, got no column {missing}. Keep them all."
        )
    rows = patients[needed].reset_index(drop=True)
    counted = rows.groupby("patient_number").cumcount().to_numpy()
    given = patients["ecg_number"].to_numpy() if "ecg_number" in patients.columns else counted
    return rows.assign(ecg_number=given)


def _render(
    rows: pd.DataFrame, settings: SyntheticSettings, seed: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """Render one batch: (n, n_samples, 12) and its truth."""
    hearts = draw_hearts(rows, seed)
    keys = [
        (seed, 4, int(number), int(ecg))
        for number, ecg in zip(rows["patient_number"], rows["ecg_number"], strict=True)
    ]
    generators = [np.random.default_rng(key) for key in keys]
    rhythm = draw_rhythm(hearts.record, generators, duration_seconds=settings.duration_seconds)
    seconds = np.arange(settings.n_samples) / settings.rate_hz
    independent = _beats(hearts, rhythm, seconds, settings.rate_hz)
    add_fibrillation_waves(independent, hearts.record, seconds)
    independent += electrode_noise(hearts.record, generators, seconds, settings.rate_hz)
    leads = LEADS_FROM_INDEPENDENT.astype(np.float32) @ independent
    return leads.transpose(0, 2, 1), _truth(rows, hearts, rhythm)


def _gaussians(
    time: np.ndarray, centre: np.ndarray, sigma: np.ndarray, rate_hz: float
) -> np.ndarray:
    """Return filtered Gaussians (n, n_samples) of one wave; ``centre`` and ``sigma`` are (n,)."""
    filter_sd = np.hypot(_FILTER_SAMPLES / rate_hz, _FILTER_SECONDS)
    seen = np.hypot(sigma, filter_sd)
    scaled = time - centre[:, None].astype(np.float32)
    scaled *= (np.sqrt(0.5) / seen[:, None]).astype(np.float32)
    np.square(scaled, out=scaled)
    np.negative(scaled, out=scaled)
    np.exp(scaled, out=scaled)
    scaled *= (sigma / seen)[:, None].astype(np.float32)
    return scaled


def _beats(hearts: Hearts, rhythm: Rhythm, seconds: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the noise-free independent leads (n, 8, n_samples), float32 mV."""
    last, following = rhythm.beat_indices(seconds)
    after = rhythm.relative_time(seconds, last)
    is_ectopic = np.take_along_axis(rhythm.is_ectopic, last, axis=1)
    waves = np.zeros((after.shape[0], hearts.centre.shape[1], len(seconds)), np.float32)
    # The T wave of the beat before may still be going on when a premature beat starts.
    for beat, chosen in ((last, slice(None)), (np.maximum(last - 1, 0), hearts.is_t)):
        conducted = np.take_along_axis(rhythm.size * ~rhythm.is_ectopic, beat, axis=1)
        conducted = conducted * (beat != last) if beat is not last else conducted
        time = rhythm.relative_time(seconds, beat)
        t_time = time / np.take_along_axis(rhythm.t_stretch, beat, axis=1)
        for wave in np.arange(waves.shape[1])[chosen]:
            shape = _gaussians(
                t_time if hearts.is_t[wave] else time,
                hearts.centre[:, wave],
                hearts.sigma[:, wave],
                rate_hz,
            )
            waves[:, wave] += shape * conducted
    result = hearts.leads_mv.astype(np.float32) @ waves
    before = rhythm.relative_time(seconds, following)
    has_p = ~np.take_along_axis(rhythm.is_ectopic, following, axis=1)
    for wave in range(hearts.p_centre.shape[1]):
        time = _gaussians(before, hearts.p_centre[:, wave], hearts.p_sigma[:, wave], rate_hz)
        leads = hearts.p_leads_mv[:, :, wave, None].astype(np.float32)
        result += leads * (time * has_p)[:, None, :]
    affected = np.flatnonzero(is_ectopic.any(axis=1))
    for wave in range(hearts.ectopic_centre.shape[1] if len(affected) else 0):
        shape = _gaussians(
            after[affected],
            hearts.ectopic_centre[affected, wave],
            hearts.ectopic_sigma[affected, wave],
            rate_hz,
        )
        leads = hearts.ectopic_leads_mv[affected, :, wave, None].astype(np.float32)
        result[affected] += leads * (shape * is_ectopic[affected])[:, None, :]
    return result


def _truth(rows: pd.DataFrame, hearts: Hearts, rhythm: Rhythm) -> pd.DataFrame:
    """Return the truth of a batch, with the beats whose R peak lies in the record."""
    inside = rhythm.is_recorded
    kept = ("lateral_t_mv", "slur_mv", "fragment_mv", "ectopic_probability")
    table = pd.DataFrame(
        {
            "patient_number": rows["patient_number"].to_numpy(),
            "ecg_number": rows["ecg_number"].to_numpy(),
            "r_peak_seconds": pd.Series(
                [peaks[use] for peaks, use in zip(rhythm.r_peak_seconds, inside, strict=True)],
                dtype=object,
            ),
            "is_ectopic": pd.Series(
                [flags[use] for flags, use in zip(rhythm.is_ectopic, inside, strict=True)],
                dtype=object,
            ),
            "heart_rate_bpm": 60.0 / hearts.record["rr_seconds"],
            "has_left_bundle": hearts.record["has_left_bundle"],
            "is_fibrillating": hearts.record["is_fibrillating"],
        }
    )
    return table.assign(**{name: hearts.record[name] for name in kept})
