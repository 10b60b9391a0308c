"""Mixup: a training record and another one, added in shares; the targets likewise."""

from __future__ import annotations

from typing import Any

import numpy as np


def mixup_shares(
    n: int, *, alpha: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return another record for each one, and the share of the first.

    Parameters
    ----------
    n : int
        Records of the batch.
    alpha : float
        Shares follow Beta(alpha, alpha), folded so that a record keeps at least half; 0: all of it.
    rng : numpy.random.Generator

    Returns
    -------
    partner : ndarray of int, shape (n,)
        A permutation, so that each record counts as often as it would have.
    share : ndarray of float32, shape (n,)
        Between 0.5 and 1.

    References
    ----------
    Zhang et al. 2018, mixup: beyond empirical risk minimization. arXiv:1710.09412.
    """
    partner = rng.permutation(n)
    share = rng.beta(alpha, alpha, n) if alpha > 0 else np.ones(n)
    return partner, np.maximum(share, 1 - share).astype("float32")


def mixed(values: Any, partner: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return share values + (1 - share) values of the partner, float32 of the shape of `values`.

    For ECGs, covariates, targets and weights alike. What is unknown (NaN) in one of the two is
    unknown in the mixture.

    Examples
    --------
    >>> mixed([[0.0], [1.0]], [1, 0], [0.75, 0.75]).tolist()
    [[0.25], [0.75]]
    """
    values = np.asarray(values, dtype="float32")
    share = np.reshape(np.asarray(share, "float32"), (-1, *[1] * (values.ndim - 1)))
    return share * values + (1 - share) * values[partner]
