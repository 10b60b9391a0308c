"""Pieces of an ECG: one at random in training, several at even distances when it is scored."""

from __future__ import annotations

import numpy as np


def random_crops(ecg: np.ndarray, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random piece of every ECG.

    Parameters
    ----------
    ecg : array of shape (batch, samples, n_leads)
    n_samples : int
        Length of a piece; that of the ECG returns it whole.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of shape (batch, n_samples, n_leads)

    Raises
    ------
    ValueError
        If the ECG is shorter than the piece.
    """
    most = _most(ecg.shape[1], n_samples)
    if most == 0:
        return ecg
    first = rng.integers(0, most + 1, (len(ecg), 1))
    position = first + np.arange(n_samples)
    return np.take_along_axis(ecg, position[:, :, None], axis=1)


def crop_starts(n_samples: int, crop_samples: int, n_crops: int) -> list[int]:
    """Return the first samples of `n_crops` pieces that together span the ECG.

    Raises
    ------
    ValueError
        If the ECG is shorter than the piece, or none is asked for.

    Examples
    --------
    >>> crop_starts(1000, 500, 3)
    [0, 250, 500]
    >>> crop_starts(1000, 500, 1)
    [250]
    """
    most = _most(n_samples, crop_samples)
    if n_crops < 1:
        raise ValueError(f"n_crops must be at least 1, got {n_crops}. 1 is the middle piece.")
    if n_crops == 1 or most == 0:
        return [most // 2]
    return sorted({round(start) for start in np.linspace(0, most, n_crops)})


def _most(n_samples: int, crop_samples: int) -> int:
    """Return the last sample a piece may begin at."""
    if not 0 < crop_samples <= n_samples:
        raise ValueError(
            f"crop must be between 1 and the ECG's {n_samples} samples, got {crop_samples}. Use a "
            "shorter crop_seconds."
        )
    return n_samples - crop_samples
