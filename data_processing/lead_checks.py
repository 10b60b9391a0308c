"""Electrodes on the wrong limb and a heart on the other side: suspected, never corrected.

The chest leads do not change when limb electrodes are exchanged, so they say what leads I and II
should look like. The rule follows Kors & van Herpen 2001 (doi 10.1016/S0002-9149(01)01686-9):
leads I and II are predicted from V1 to V6, and the exchange under which the measured leads fit the
prediction clearly better than as they stand is suspected. Left arm and left leg exchanged cannot be
told from another heart axis, and are not looked for; nothing here proves the order of the chest
leads.
"""

from __future__ import annotations

import numpy as np

from data_processing.heart_beats import block_means
from data_processing.leads import LEADS

# Leads I and II from V1 to V6: least squares over 434 ECGs of PTB-XL, 20 ms differences at 100 Hz,
# each ECG scaled to unit power. `python benchmarks/lead_checks.py` prints them.
CHEST_TO_LIMB = np.array(
    [
        [-0.626, 0.018],
        [0.243, -0.149],
        [0.103, 0.113],
        [-0.097, 0.118],
        [0.043, 0.055],
        [0.335, 0.394],
    ]
)
# What restores leads I and II after an exchange of electrodes, from Einthoven's triangle.
_ARMS = np.array([[-1.0, 0.0], [-1.0, 1.0]])
_LEFT = np.array([[0.0, 1.0], [1.0, 0.0]])
_RIGHT = np.array([[1.0, -1.0], [0.0, -1.0]])
EXCHANGES = {
    "left arm and right arm": _ARMS,
    "right arm and left leg": _RIGHT,
    "both arms and left leg, one place clockwise": _ARMS @ _LEFT,
    "both arms and left leg, one place counter-clockwise": _LEFT @ _ARMS,
}
MIN_FIT = 0.6  # correlation of the restored leads with the prediction
MIN_GAIN = 0.2  # over the leads as they stand
FLAT_SHARE = 0.05  # of the median limb lead's power; both electrodes on the legs
_FLAT_LEADS = {
    "I": "each arm electrode and the leg electrode of its side",
    "II": "right arm and right leg",
    "III": "left arm and right leg",
}


def suspected_electrodes(signal_mv: np.ndarray, rate_hz: float) -> tuple[str, ...]:
    """Return what is suspected of the electrodes of an ECG, in words.

    Parameters
    ----------
    signal_mv
        (n_samples, 12) millivolts, leads in the order of ``LEADS``, not filtered.
    rate_hz
        Sampling rate.

    Returns
    -------
    tuple of str
        Empty where nothing is suspected.

    Notes
    -----
    A flat lead I, II or III while the others are not means that its two electrodes lie on the legs,
    which have one potential (Batchvarov et al. 2007, doi 10.1093/europace/eum198).
    """
    means, _ = block_means(signal_mv, rate_hz)
    if len(means) < 4:
        return ()
    steps = _steps(means)
    power = np.sqrt((steps**2).mean(axis=0))
    flat = [
        f"{exchange} electrodes may be exchanged (lead {lead} is flat, other limb leads are not)"
        for lead, exchange in _FLAT_LEADS.items()
        if power[LEADS.index(lead)] < FLAT_SHARE * np.median(power[:6])
    ]
    if len(flat) == 1:
        return tuple(flat)
    if _is_mirrored(means):
        return (
            "the heart may lie on the right side, or arm electrodes be exchanged (lead I points "
            "down, chest leads shrink towards V6)",
        )
    exchange = _better_exchange(steps)
    if not exchange:
        return ()
    return (f"{exchange} electrodes may be exchanged (limb leads do not fit the chest leads)",)


def _steps(means: np.ndarray) -> np.ndarray:
    """Return differences over 20 ms: QRS complexes without the baseline."""
    steps = means[2:] - means[:-2]
    return steps - steps.mean(axis=0)


def _better_exchange(steps: np.ndarray) -> str:
    """Return the exchange that explains the limb leads clearly better; empty if none does."""
    measured, predicted = steps[:, :2], steps[:, 6:] @ CHEST_TO_LIMB
    fits = {
        name: _fit(measured @ restore.T, predicted)
        for name, restore in {"": np.eye(2), **EXCHANGES}.items()
    }
    best = max(fits, key=lambda name: fits[name])
    is_better = fits[best] > MIN_FIT and fits[best] - fits[""] > MIN_GAIN
    return best if is_better else ""


def _fit(measured: np.ndarray, predicted: np.ndarray) -> float:
    power = np.sqrt((measured**2).sum() * (predicted**2).sum())
    return float((measured * predicted).sum() / power) if power > 0 else 0.0


def _is_mirrored(means: np.ndarray) -> bool:
    """Return whether the main deflections look as in a heart on the right side."""
    low, high = np.percentile(means - np.median(means, axis=0), [0.5, 99.5], axis=0)
    size = high - low
    polarity = (high + low) / np.maximum(size, 1e-9)  # 1: points up only, -1: down only
    chest = size[6:]
    points_away = polarity[0] < -0.2 and polarity[3] > 0.2 and polarity[11] < 0
    return bool(points_away and chest[5] < 0.5 * chest[:3].max() and chest[5] < chest[4] < chest[3])
