"""Pictures of the ECGs of the lowest quality, as recorded."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from data_processing.leads import LEADS
from data_processing.quality import Quality, assess_quality
from data_processing.readers import read_ecg
from data_processing.record_preparation import Reading
from data_processing.signals import ECG

N_WORST = 20
_COLUMNS = 4
_SHOWN_SECONDS = 10.0
_LEAST_RANGE_MV = 2.0


@dataclass(frozen=True)
class Assessed:
    """An ECG as recorded, with its quality."""

    record_id: str
    ecg: ECG
    quality: Quality

    @property
    def worst_lead(self) -> str:
        """The lead whose beats resemble one another least; of flat leads the first."""
        is_flat = self.quality.by_lead["range_mv"] <= 0
        if is_flat.any():
            return LEADS[int(np.argmax(is_flat))]
        return LEADS[int(np.argmin(np.nan_to_num(self.quality.by_lead["beat_correlation"])))]


def read_worst(
    records: pd.DataFrame,
    paths: pd.DataFrame,
    *,
    reading: Reading | None = None,
    n_worst: int = N_WORST,
) -> list[Assessed]:
    """Read the ECGs of the lowest quality index again, unfiltered.

    Parameters
    ----------
    records
        ``record_id, quality_index`` as ``prepare_signals`` returns them.
    paths
        ``record_id, path, record``; as ``select_cohort`` returns them.
    reading
        As for ``prepare_signals``.
    n_worst
        How many.

    Returns
    -------
    list of Assessed
        The lowest first.
    """
    order = records.sort_values(["quality_index", "record_id"], ignore_index=True)
    wanted = order.head(n_worst).merge(paths[["record_id", "path", "record"]], on="record_id")
    reading = reading or Reading()
    found = []
    for row in wanted.itertuples():
        ecg = read_ecg(str(row.path), record=str(row.record), declared=reading.declared)
        quality = assess_quality(ecg.signal_mv, ecg.rate_hz, reading.thresholds)
        found.append(Assessed(str(row.record_id), ecg, quality))
    return found


def plot_worst(worst: list[Assessed]) -> Figure:
    """Draw the worst lead of each ECG, 10 s as recorded.

    Parameters
    ----------
    worst
        Of ``read_worst``.

    Returns
    -------
    Figure
        One panel an ECG: number, lead, quality index, and the first findings.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not worst:
        raise ValueError("worst must hold at least one ECG, got none. Skip this figure.")
    n_rows = -(-len(worst) // _COLUMNS)
    figure, axes = plt.subplots(
        n_rows, _COLUMNS, figsize=(13, 1.9 * n_rows), squeeze=False, layout="constrained"
    )
    for ax in axes.flat[len(worst) :]:
        ax.set_visible(False)
    for item, ax in zip(worst, axes.flat, strict=False):
        n_shown = min(len(item.ecg.signal_mv), round(_SHOWN_SECONDS * item.ecg.rate_hz))
        trace = item.ecg.signal_mv[:n_shown, LEADS.index(item.worst_lead)]
        middle = float(np.median(trace))
        ax.plot(np.arange(n_shown) / item.ecg.rate_hz, trace, color="black", linewidth=0.6)
        half = max(_LEAST_RANGE_MV / 2, 1.1 * float(np.abs(trace - middle).max()))
        ax.set_ylim(middle - half, middle + half)
        ax.set_xlim(0, _SHOWN_SECONDS)
        title = f"{item.record_id}  {item.worst_lead}  index {item.quality.index:.2f}"
        ax.set_title(title, fontsize=9, loc="left")
        words = "; ".join(item.quality.findings) or "nothing flagged"
        words = "\n".join(textwrap.wrap(words, 52)[:2])
        ax.text(0.01, 0.02, words, transform=ax.transAxes, fontsize=7, color="#A03000")
        ax.tick_params(labelsize=7)
        ax.grid(color="#E0E0E0", linewidth=0.5)
    figure.supxlabel("seconds", fontsize=9)
    figure.supylabel("mV", fontsize=9)
    return figure
