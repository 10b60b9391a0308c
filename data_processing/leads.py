"""Names, order and identities of the twelve leads.

Six limb leads come from two measured potentials (Einthoven and Goldberger)::

    III = II - I      aVR = -(I + II) / 2      aVL = I - II / 2      aVF = II - I / 2

so stored limb leads can prove one another, and four of them can be derived. Chest leads are
independent: a missing one is a refusal, and no test can tell that two were exchanged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

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
LEAST_SCALING = 0.1  # a smaller error of gain is not named
EXPLAINED_SHARE = 0.1  # left after the exchange that is suspected
SCALED_SHARE = 0.01  # left after scaling each lead; LUDB's 60 ECGs leave 0.001
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


@dataclass(frozen=True)
class LimbCheck:
    """What the identities say of the limb leads.

    Parameters
    ----------
    level
        ``checked`` (all four identities hold), ``derived`` (some lead was not stored, so nothing
        proves I and II) or ``declared`` (they hold only roughly, or after a change that is
        suspected).
    note
        How far off they are, if not ``checked``.
    suspicion
        The exchange, inversion or scaling under which they hold, in words.
    """

    level: str
    note: str = ""
    suspicion: str = ""


def check_limb_leads(
    signal_mv: np.ndarray, stored: Sequence[str], *, step_mv: float = 0.0
) -> LimbCheck:
    """Test the stored limb leads against Einthoven's and Goldberger's identities.

    The residual is what a stored lead differs from its value derived from I and II, root mean
    square, without a constant offset (devices may remove the offset of each lead by itself). Where
    it is large, the exchange of two leads or the inversion or scaling of one that makes it small is
    looked for: it is suspected, and nothing is changed.

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
    LimbCheck

    Raises
    ------
    ECGError
        If a residual exceeds half of the limb leads' root mean square and no exchange of two leads
        and no inversion or scaling of one explains it.
    """
    covariance = np.cov(signal_mv[:, :6], rowvar=False)
    testable = [lead for lead in DERIVED_FROM_I_II if lead in stored]
    level = "checked" if len(testable) == len(DERIVED_FROM_I_II) else "derived"
    reference = float(np.sqrt(np.mean(np.diag(covariance))))
    tolerance = NOISE_MV + 2 * step_mv
    worst, lead = _worst_residual(covariance, testable)
    if reference <= tolerance:  # 0 = 0 proves nothing
        return LimbCheck("declared", suspicion="limb leads are empty or nearly so")
    if worst <= tolerance:
        return LimbCheck(level)
    found = _explanation(covariance, testable, max(tolerance, EXPLAINED_SHARE * reference))
    note = f"limb leads disagree by {worst:.2f} mV ({lead})"
    level = "declared" if level == "checked" else level
    if found and worst > max(tolerance, EXPLAINED_SHARE * reference):
        return LimbCheck(level, note, found)
    if worst > max(tolerance, VIOLATION_SHARE * reference):
        flat = [
            name
            for name in (*LEADS[:2], *testable)
            if covariance[LEADS.index(name), LEADS.index(name)] < (tolerance / 10) ** 2
        ]
        cause = (
            f"Lead {flat[0]} is flat."
            if flat
            else "They fit when each is scaled by another factor: the gains in the file are wrong."
            if len(testable) == len(DERIVED_FROM_I_II)
            and _share_left_by_scaling(covariance) < SCALED_SHARE
            else "No exchange of two leads explains it."
        )
        raise ECGError(
            f"limb leads must fit III = II - I and aVR + aVL + aVF = 0, got {lead} {worst:.2f} mV "
            f"(root mean square) away from its value computed from I and II. {cause} Export the "
            "ECG again or leave it out."
        )
    return LimbCheck(level, note)


def _identity(lead: str) -> np.ndarray:
    """Return the combination of the six limb leads that is zero."""
    of_i, of_ii = DERIVED_FROM_I_II[lead]
    combination = np.zeros(6)
    combination[LEADS.index(lead)] = 1.0
    combination[:2] -= of_i, of_ii
    return combination


def identity_residuals(
    covariance: np.ndarray, testable: Sequence[str] = tuple(DERIVED_FROM_I_II)
) -> dict[str, float]:
    """Return how far leads are from their values computed from I and II, root mean square.

    Parameters
    ----------
    covariance
        (6, 6) of the limb leads.
    testable
        Of III, aVR, aVL and aVF those that are stored.
    """
    found = {lead: _identity(lead) @ covariance @ _identity(lead) for lead in testable}
    return {lead: float(np.sqrt(max(value, 0.0))) for lead, value in found.items()}


def _worst_residual(covariance: np.ndarray, testable: Sequence[str]) -> tuple[float, str]:
    """Return the largest residual and its lead; 0 where no lead can be tested."""
    residuals = identity_residuals(covariance, testable)
    lead = max(residuals, key=lambda name: residuals[name], default="")
    return (residuals[lead], lead) if lead else (0.0, "")


def _explanation(covariance: np.ndarray, testable: Sequence[str], limit: float) -> str:
    """Return the exchange, inversion or scaling under which the identities hold; or empty."""
    present = [*LEADS[:2], *testable]
    changes: dict[str, np.ndarray] = {}
    for one, other in combinations(present, 2):
        order = list(range(6))
        a, b = LEADS.index(one), LEADS.index(other)
        order[a], order[b] = b, a
        changes[f"{one} and {other} look exchanged"] = np.eye(6)[order]
    for lead in present:
        factor = _best_factor(covariance, testable, LEADS.index(lead))
        if abs(factor - 1.0) < LEAST_SCALING or not 0.01 < abs(factor) < 100:
            continue
        scales = np.ones(6)
        scales[LEADS.index(lead)] = factor
        text = f"{lead} looks {1 / factor:.2f} times too large"
        changes[f"{lead} looks inverted" if abs(factor + 1.0) < 0.1 else text] = np.diag(scales)
    residuals = {
        text: _worst_residual(change @ covariance @ change.T, testable)[0]
        for text, change in changes.items()
    }
    best = min(residuals, key=lambda text: residuals[text])
    return f"{best} in the file" if residuals[best] <= limit else ""


def _best_factor(covariance: np.ndarray, testable: Sequence[str], column: int) -> float:
    """Return the factor of one lead under which the identities hold best together."""
    numerator = denominator = 0.0
    for lead in testable:
        rest = _identity(lead)
        own = np.zeros(6)
        own[column], rest[column] = rest[column], 0.0
        numerator -= rest @ covariance @ own
        denominator += own @ covariance @ own
    return float(numerator / denominator) if denominator > 0 else 1.0


def _share_left_by_scaling(covariance: np.ndarray) -> float:
    """Return what is left of the limb leads, 0 to 1, when each has the gain that fits best."""
    identities = np.array([_identity(lead) for lead in DERIVED_FROM_I_II])
    forbidden = identities.T @ np.linalg.inv(identities @ identities.T) @ identities
    values, vectors = np.linalg.eigh(covariance * forbidden)
    power = float(np.diag(covariance) @ vectors[:, 0] ** 2)
    return float(np.sqrt(max(values[0], 0.0) / power)) if power > 0 else 1.0
