"""Simulated cohorts of the coverage study, and the truths that intervals should hold.

Scores are binormal: N(0, 1) without the event, N(d, spread) with it, so that the logit of the true
risk is linear in the score (at spread 1) and every truth is known in closed form or by quadrature.
The risks that are scored are overconfident on purpose (true calibration slope 0.8): an ICI whose
truth is 0 could not be covered. With several ECGs, record scores share 0.8 of their variance
within a patient, and the patient's score is their mean. A reference score with an AUROC lower by
0.05 and correlation 0.5 serves the paired differences. Folds hold events evenly; no model is
refitted, as the intervals are conditional on the fitted models. Cohorts with fewer than two events
are drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri
from scipy.stats import norm

SLOPE, N_FOLDS, CORRELATION, INTRA_PATIENT = 0.8, 5, 0.5, 0.8


@dataclass(frozen=True)
class Cell:
    """One situation of the study, with its truths."""

    n_patients: int
    prevalence: float
    n_ecgs: int
    auroc: float
    spread: float = 1.0
    kind: str = "closed form"  # of the intervals; bootstrap and calibration (slow) stand apart

    @cached_property
    def shift(self) -> float:
        """Distance of the two means, in standard deviations of scores without the event."""
        return ndtri(self.auroc) * np.sqrt(1 + self.spread**2)

    @cached_property
    def reference_auroc(self) -> float:
        """AUROC of the score that the paired differences compare with."""
        return max(0.5, self.auroc - 0.05)

    @property
    def reference_shift(self) -> float:
        """Its shift: its spread is always 1."""
        return ndtri(self.reference_auroc) * np.sqrt(2)

    def risk(self, score: np.ndarray, shift: float) -> np.ndarray:
        """Return the overconfident risk of a score: logits are stretched about the prevalence."""
        return expit(logit(self.prevalence) + (shift * score - shift**2 / 2) / SLOPE)

    @cached_property
    def truth(self) -> dict[str, float]:
        """The value that each interval should hold."""
        values = self._truths_of(self.shift)
        reference = self._truths_of(self.reference_shift)
        records = self.shift * np.sqrt(INTRA_PATIENT + (1 - INTRA_PATIENT) / self.n_ecgs)
        gap = self.auroc - self.reference_auroc
        return values | {
            "auroc_pooled": self.auroc,
            "auroc_mean_within_fold": self.auroc,
            "auroc_records": float(norm.cdf(records / np.sqrt(2))),
            "delta_auroc_pooled": gap,
            "delta_auroc_mean_within_fold": gap,
            "delta_brier": values["brier"] - reference["brier"],
            "delta_net_benefit": values["net_benefit"] - reference["net_benefit"],
        }

    def _truths_of(self, shift: float) -> dict[str, float]:
        x = np.linspace(-9, 9 + shift, 40_001)
        step, share = x[1] - x[0], self.prevalence
        events, controls = share * norm.pdf(x - shift) * step, (1 - share) * norm.pdf(x) * step
        risk, everybody = self.risk(x, shift), events + controls
        cut = shift / 2  # where the risk is the prevalence
        tp, fp = share * norm.sf(cut - shift), (1 - share) * norm.sf(cut)
        above = share * norm.sf(x - shift)
        error = np.abs(events / everybody - risk)
        order = np.argsort(error)
        reached = np.cumsum(everybody[order])
        brier = float((events * (1 - risk) ** 2 + controls * risk**2).sum())
        stretched = logit(risk)

        def gap(a: float) -> float:
            return float((everybody * expit(a + stretched)).sum() - share)

        return {
            "prevalence": share,
            "sensitivity": tp / share,
            "specificity": 1 - fp / (1 - share),
            "ppv": tp / (tp + fp),
            "npv": (1 - share - fp) / (1 - tp - fp),
            "auprc": float((events / share * above / (above + (1 - share) * norm.sf(x))).sum()),
            "brier": brier,
            "scaled_brier": 1 - brier / (share * (1 - share)),
            "o_e": share / float((everybody * risk).sum()),
            "net_benefit": tp - fp * share / (1 - share),
            "calibration_slope": SLOPE,
            "calibration_intercept": brentq(gap, -5, 5),
            "ici": float((everybody * error).sum()),
            "e50": float(error[order][np.searchsorted(reached, 0.5)]),
            "e90": float(error[order][np.searchsorted(reached, 0.9)]),
        }


@dataclass(frozen=True)
class Cohort:
    """One simulated cohort, a row a patient; `records` holds the scores of its ECGs."""

    y_true: np.ndarray
    score: np.ndarray
    reference: np.ndarray
    folds: np.ndarray
    records: np.ndarray


def draw_cohort(cell: Cell, rng: np.random.Generator) -> Cohort:
    """Return one cohort with at least two events."""
    y_true = np.zeros(cell.n_patients, dtype=np.int8)
    while y_true.sum() < 2:
        y_true = (rng.random(cell.n_patients) < cell.prevalence).astype(np.int8)
    size = cell.n_patients
    shared, other = rng.normal(size=(2, size))
    noise = rng.normal(size=(size, cell.n_ecgs)) * np.sqrt(1 - INTRA_PATIENT)
    # In units of the patient's mean, whose spread is then 1 for any number of ECGs.
    records = np.sqrt(INTRA_PATIENT) * shared[:, None] + noise
    records /= np.sqrt(INTRA_PATIENT + (1 - INTRA_PATIENT) / cell.n_ecgs)
    reference = CORRELATION * records.mean(axis=1) + np.sqrt(1 - CORRELATION**2) * other
    reference += cell.reference_shift * y_true
    records *= np.where(y_true == 1, cell.spread, 1)[:, None]
    records += cell.shift * y_true[:, None]
    folds = np.empty(size, dtype=np.int64)
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(y_true == label))
        folds[rows] = np.arange(rows.size) % N_FOLDS
    return Cohort(y_true, records.mean(axis=1), reference, folds, records)


def all_cells() -> list[Cell]:
    """Return the cells, those that carry most first, so that an unfinished study is of use."""
    core = [(314, 0.17), (63, 0.17), (63, 0.10), (314, 0.05), (125, 0.10)]
    small = [(63, 0.3), (125, 0.05), (125, 0.17), (125, 0.3), (314, 0.10), (314, 0.3)]
    large = [(1000, 0.05), (1000, 0.17), (2000, 0.05), (2000, 0.17)]
    aurocs = (0.85, 0.75, 0.95, 0.65, 0.55)
    cells = []
    for auroc in aurocs:
        cells += [Cell(*pair, 1, auroc) for pair in core + small + large]
        cells += [Cell(*pair, 1, auroc, spread=1.5) for pair in core + large[:1]]
    for auroc in aurocs:
        cells += [Cell(*pair, 1, auroc, kind="bootstrap") for pair in core]
    # Five ECGs a patient change nothing for the patient's mean but its variance: records only.
    cells += [Cell(*pair, 5, 0.75, kind="bootstrap") for pair in core]
    cells += [Cell(*pair, 1, 0.85, kind="calibration") for pair in core]
    for auroc in (0.75, 0.95):
        cells += [Cell(*pair, 1, auroc, kind="bootstrap") for pair in large]
        cells += [Cell(*pair, 1, auroc, 1.5, "bootstrap") for pair in core[:2]]
        cells += [Cell(*pair, 5, auroc, kind="bootstrap") for pair in core[:2] + large[1:3]]
    cells += [Cell(*pair, 1, 0.65, kind="calibration") for pair in [*core, large[0]]]
    cells += [Cell(*pair, 1, 0.75, kind="bootstrap") for pair in small]
    return list(dict.fromkeys(cells))
