"""Gains that contradict the limb leads: a header that scales each lead by another number.

In LUDB 1.0.1 the limb leads miss Einthoven's and Goldberger's identities by half of their size in
the header's millivolts, and keep them to 0.1 % in the stored integers, in all 60 ECGs looked at:
the gain of each lead is its own range, so that it spans 1 mV. One gain for all leads is then proved
by the signal, and its size is not; one microvolt a unit gives LUDB the amplitudes of other
collections (typical deflection 0.46 to 1.22 mV in nine of ten, PTB-XL 0.4 to 1.9). A header with
one odd gain is not of this kind: there the limb leads say which lead it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_processing.leads import LEADS, canonical_lead, identity_residuals

CONTRADICTED_SHARE = 0.05  # of the limb leads' root mean square
KEPT_SHARE = 0.01
LEAST_GAINS = 4  # different ones among the six limb leads; LUDB has five or six
SUSPICION = (
    "gains of the header contradict the limb leads: all leads were read at 1 uV a unit, whose size "
    "nothing proves"
)


def contradicts_limb_leads(
    signal_mv: np.ndarray, gains: Sequence[float], lead_names: Sequence[str]
) -> bool:
    """Return whether the limb leads keep their identities at one gain and not at the given ones.

    Parameters
    ----------
    signal_mv
        (n_samples, n_channels) millivolts by the given gains.
    gains
        Stored units per millivolt of each channel.
    lead_names
        Of the channels.

    Returns
    -------
    bool
        False where a limb lead is not stored, or most of their gains are one.
    """
    found = [canonical_lead(name) for name in lead_names]
    if any(found.count(lead) != 1 for lead in LEADS[:6]):
        return False
    columns = [found.index(lead) for lead in LEADS[:6]]
    if len({gains[column] for column in columns}) < LEAST_GAINS:
        return False
    limb_mv = signal_mv[:, columns]
    limb_mv = limb_mv[np.isfinite(limb_mv).all(axis=1)]
    if len(limb_mv) < 2:
        return False
    covariance = np.cov(limb_mv, rowvar=False)
    stored = np.cov(limb_mv * np.asarray(gains, dtype=np.float64)[columns], rowvar=False)
    size_mv, size = (np.sqrt(np.mean(np.diag(matrix))) for matrix in (covariance, stored))
    worst_mv, worst = (max(identity_residuals(matrix).values()) for matrix in (covariance, stored))
    return bool(worst_mv > CONTRADICTED_SHARE * size_mv and worst < KEPT_SHARE * size)
