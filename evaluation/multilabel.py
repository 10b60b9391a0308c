"""AUROC of several labels of the same records, and their mean (macro-AUROC)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from evaluation.intervals import bootstrap_intervals
from evaluation.resampling import BootstrapPlan
from evaluation.weighted import Statistic, auroc_statistic, difference

MACRO = "macro"


def macro_auroc_statistic(y_true: np.ndarray, y_score: np.ndarray) -> Statistic:
    """Return the AUROC of each column and, last, their mean; shape (n_resamples, n_labels + 1)."""
    columns = [auroc_statistic(y, s) for y, s in zip(y_true.T, y_score.T, strict=True)]

    def statistic(weights: np.ndarray) -> np.ndarray:
        found = np.stack([column(weights) for column in columns], axis=1)
        return np.column_stack([found, found.mean(axis=1)])

    return statistic


def macro_auroc_table(
    y_true: np.ndarray,
    y_score: np.ndarray,
    *,
    names: Sequence[str],
    patients: Sequence[str],
    plan: BootstrapPlan,
    reference: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return the AUROC of each label and their mean, with intervals from resampled patients.

    Parameters
    ----------
    y_true : array of shape (n_records, n_labels)
        0 or 1.
    y_score : array of shape (n_records, n_labels)
    names : sequence of str
        Of the labels.
    patients : sequence of str
        Patient of each record; all records of a patient are drawn together.
    plan : BootstrapPlan
    reference : array of shape (n_records, n_labels), optional
        Scores of another model for the same records: the table is then of the differences.

    Returns
    -------
    DataFrame
        ``label`` (the names, then ``macro``), ``n``, ``n_events`` (of all labels for the mean),
        ``estimate, ci_low, ci_high, method``.
    """
    y_true = np.asarray(y_true, dtype=int)
    statistic = macro_auroc_statistic(y_true, np.asarray(y_score, float))
    if reference is not None:
        old = macro_auroc_statistic(y_true, np.asarray(reference, float))
        statistic = difference(statistic, old)

    clusters = pd.factorize(np.asarray(patients))[0]
    intervals = bootstrap_intervals(statistic, clusters, plan=plan)
    return pd.DataFrame(
        {
            "label": [*names, MACRO],
            "n": len(y_true),
            "n_events": [*y_true.sum(axis=0), int(y_true.sum())],
            "estimate": [interval.estimate for interval in intervals],
            "ci_low": [interval.ci_low for interval in intervals],
            "ci_high": [interval.ci_high for interval in intervals],
            "method": [interval.method for interval in intervals],
        }
    )
