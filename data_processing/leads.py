"""Names, order and identities of the twelve leads.

Six limb leads come from two measured potentials (Einthoven and Goldberger)::

    III = II - I      aVR = -(I + II) / 2      aVL = I - II / 2      aVF = II - I / 2

so stored limb leads can prove one another, and four of them can be derived. Chest leads are
independent: a missing one is a refusal, and no test can tell that two were exchanged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from data_processing.errors import ECGError

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
DERIVED_FROM_I_II = {
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}
NOISE_MV = 0.02  # root mean square left by filters that devices apply to each lead separately
# Of the limb leads' RMS: beyond it a lead is swapped, inverted or mis-scaled. aVL and aVF exchanged
# give at least 0.49 in Brugada-HUCA and 0.59 in PTB-XL; as stored, 95 % of both stay below 0.05.
VIOLATION_SHARE = 0.5
_CANONICAL = {lead.lower(): lead for lead in LEADS} | {f"c{k}": f"V{k}" for k in range(1, 7)}


def canonical_lead(name: str) -> str | None:
    """Return the lead's name as in ``LEADS``, or None for any other channel.

    Case, blanks, points, underscores and a leading "lead" do not matter; ``C1`` to ``C6`` are the
    chest leads. Modified leads (``MLII``, ``MCL1``) and inverted ones (``-aVR``) are other
    channels: they are not the lead they resemble.

    Examples
    --------
    >>> canonical_lead("AVR"), canonical_lead("Lead_v2"), canonical_lead("MLII")
    ('aVR', 'V2', None)
    """
    plain = re.sub(r"[\s._]", "", str(name)).lower()
    return _CANONICAL.get(plain.removeprefix("lead"))


def order_leads(signal: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the signal in the order of ``LEADS`` and the names of the leads it stores.

    Parameters
    ----------
    signal
        (n_samples, n_channels).
    names
        Channel names as stored; channels that are none of the twelve leads are left out.

    Returns
    -------
    signal, stored
        (n_samples, 12) float64, NaN in leads that are not stored; the stored ones.

    Raises
    ------
    ECGError
        If a lead occurs twice, or one that cannot be derived is missing.
    """
    position: dict[str, int] = {}
    unknown = []
    for column, name in enumerate(names):
        lead = canonical_lead(name)
        if lead is None:
            unknown.append(str(name).strip())
        elif lead in position:
            raise ECGError(
                f"leads must be named once each, got {lead} twice. Export the ECG again."
            )
        else:
            position[lead] = column
    missing = [lead for lead in LEADS if lead not in position and lead not in DERIVED_FROM_I_II]
    if missing:
        others = f" (other channels: {len(unknown)})" if unknown else ""
        raise ECGError(
            f"leads must include I, II and V1 to V6, missing: {', '.join(missing)}{others}. "
            "Export all twelve leads; modified leads such as MLII are not accepted."
        )
    ordered = np.full((len(signal), len(LEADS)), np.nan)
    for lead, column in position.items():
        ordered[:, LEADS.index(lead)] = signal[:, column]
    return ordered, tuple(lead for lead in LEADS if lead in position)


def derive_limb_leads(signal_mv: np.ndarray, stored: Sequence[str]) -> None:
    """Fill the limb leads that are not stored, in place, from I and II.

    Parameters
    ----------
    signal_mv
        (n_samples, 12), leads in the order of ``LEADS``.
    stored
        Names of the stored leads.
    """
    for lead, (of_i, of_ii) in DERIVED_FROM_I_II.items():
        if lead not in stored:
            column = LEADS.index(lead)
            signal_mv[:, column] = of_i * signal_mv[:, 0] + of_ii * signal_mv[:, 1]


def check_limb_leads(
    signal_mv: np.ndarray, stored: Sequence[str], *, step_mv: float = 0.0
) -> tuple[str, str]:
    """Test the stored limb leads against Einthoven's and Goldberger's identities.

    The residual is what a stored lead differs from its value derived from I and II, root mean
    square, without a constant offset (devices may remove the offset of each lead by itself).

    Parameters
    ----------
    signal_mv
        (n_samples, 12), leads in the order of ``LEADS``.
    stored
        Names of the stored leads.
    step_mv
        Quantisation step; two steps are granted on top of 0.02 mV of noise.

    Returns
    -------
    level, note
        ``checked`` (all four identities hold), ``derived`` (some lead was not stored, so nothing
        proves I and II) or ``declared`` (they hold only roughly; then the note says how far off).

    Raises
    ------
    ECGError
        If a residual exceeds half of the limb leads' root mean square.
    """
    limb = signal_mv[:, :6]
    testable = [lead for lead in DERIVED_FROM_I_II if lead in stored]
    reference = float(np.sqrt(np.mean(np.var(limb, axis=0))))
    tolerance = NOISE_MV + 2 * step_mv
    worst, worst_lead = 0.0, ""
    for lead in testable:
        of_i, of_ii = DERIVED_FROM_I_II[lead]
        difference = limb[:, LEADS.index(lead)] - of_i * limb[:, 0] - of_ii * limb[:, 1]
        residual = float(np.sqrt(np.mean((difference - np.median(difference)) ** 2)))
        if residual > worst:
            worst, worst_lead = residual, lead
    if worst > max(tolerance, VIOLATION_SHARE * reference):
        raise ECGError(
            f"limb leads must fit III = II - I and aVR + aVL + aVF = 0, got {worst_lead} "
            f"{worst:.2f} mV (root mean square) away from its value computed from I and II. A lead "
            "is swapped, inverted or scaled differently: export the ECG again or leave it out."
        )
    note = f"limb leads disagree by {worst:.2f} mV ({worst_lead})" if worst > tolerance else ""
    if len(testable) < len(DERIVED_FROM_I_II):
        return "derived", note
    return ("declared" if note else "checked"), note
