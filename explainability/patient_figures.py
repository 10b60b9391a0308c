"""Figures of Shapley values by patient and by covariate, and of the ECG against the covariates.

The shap package draws these too, but into the current figure, in its own colours and sizes, and
without counts; here they take and return ``ax`` like all other figures.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from scipy.special import expit

from explainability.explained import RISK, Explained
from explainability.figure_style import COLOURS, INK, tidy
from explainability.shap_figures import MISSING
from explainability.shap_values import mean_over_records, sum_by_covariate

_RAISES, _LOWERS = COLOURS[1], COLOURS[0]


def plot_shap_waterfall(
    frame: pd.DataFrame,
    record_id: str,
    *,
    ax: Axes,
    labels: Mapping[str, str] | None = None,
    references: Mapping[str, str] | None = None,
    n_covariates: int = 8,
    explained: Explained = RISK,
) -> Axes:
    """Draw how the covariates lead from the base value to one record's score, largest step first.

    Parameters
    ----------
    frame : DataFrame
        From `explain_covariates` or `explain_function`.
    record_id : str
        Whose.
    ax : Axes
        Where to draw.
    labels : mapping of str to str, optional
        Covariate name to label with unit.
    references : mapping of str to str, optional
        Covariate to the word of its first category, which has no column of its own.
    n_covariates : int
        How many steps; the rest is one step.
    explained : Explained
        What the score is.

    Returns
    -------
    Axes
        Steps from the top; the base value is the mean score of background patients with this ECG.

    Raises
    ------
    ValueError
        If the record is not in the frame.
    """
    rows = _by_covariate(frame)
    rows = rows[rows["record_id"] == record_id]
    if rows.empty:
        raise ValueError(f"record_id must be in the frame, got {record_id!r}. Choose another.")
    rows = rows.reindex(rows["shap_logit"].abs().sort_values(ascending=False).index)
    kept, rest = rows.head(n_covariates), rows.iloc[n_covariates:]
    names = [
        _with_value(
            row,
            (labels or {}).get(row["covariate"], row["covariate"]),
            _categories(frame, row["covariate"], references),
        )
        for _, row in kept.iterrows()
    ]
    steps = kept["shap_logit"].tolist()
    if len(rest):
        names.append(f"{len(rest)} others")
        steps.append(rest["shap_logit"].sum())
    base, logit = float(rows["base_value"].iloc[0]), float(rows["prediction_logit"].iloc[0])
    ends = base + np.cumsum(steps)
    starts = np.r_[base, ends[:-1]]
    colours = [_RAISES if step > 0 else _LOWERS for step in steps]
    positions = np.arange(len(steps))
    ax.barh(positions, steps, left=starts, color=colours, height=0.6)
    ax.vlines(ends[:-1], positions[:-1] + 0.3, positions[1:] - 0.3, color=INK, linewidth=0.8)
    for value, position, word in ((base, -0.75, "base"), (logit, len(steps) - 0.25, "this ECG")):
        risk = "" if explained.is_number else f" (risk {expit(value):.2f})"
        text = f"{word} {value:+.2f}{risk}"
        ax.annotate(text, (value, position), ha="center", va="center", fontsize=9)
    for position, start, step in zip(positions, starts, steps, strict=True):
        side = 1 if step > 0 else -1
        ax.annotate(
            f"{step:+.2f}", (start + step, position), (4 * side, 0), textcoords="offset points",
            ha="left" if side > 0 else "right", va="center", fontsize=9,
        )  # fmt: skip
    ax.set_yticks(positions, names)
    ax.set_ylim(len(steps) + 0.1, -1.1)
    reach = [min(base, *ends), max(base, *ends)]
    room = 0.18 * (reach[1] - reach[0]) or 0.1
    ax.set_xlim(reach[0] - room, reach[1] + room)
    ax.set_xlabel("logit of the risk" if explained == RISK else explained.score)
    ax.legend(
        handles=[Patch(color=_RAISES, label="raises"), Patch(color=_LOWERS, label="lowers")],
        fontsize=9, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2,
    )  # fmt: skip
    ax.set_title(f"{record_id}: what the covariates add, given the ECG", fontsize=10)
    return tidy(ax)


def plot_shap_dependence(
    frame: pd.DataFrame,
    covariate: str,
    *,
    ax: Axes,
    label: str = "",
    references: Mapping[str, str] | None = None,
    explained: Explained = RISK,
) -> Axes:
    """Draw a covariate's value against its Shapley value, one point a patient.

    Parameters
    ----------
    frame : DataFrame
        From `explain_covariates` or `explain_function`.
    covariate : str
        Which.
    ax : Axes
        Where to draw.
    label : str
        Name with unit; the covariate's name when left out.
    references : mapping of str to str, optional
        Covariate to the word of its first category, which has no column of its own.
    explained : Explained
        What the score is.

    Returns
    -------
    Axes
        Patients without the value stand in a grey strip on the left, in order of their Shapley
        values.

    Raises
    ------
    ValueError
        If the covariate is not in the frame.
    """
    rows = mean_over_records(_by_covariate(frame))
    rows = rows[rows["covariate"] == covariate]
    if rows.empty:
        known = ", ".join(dict.fromkeys(frame["covariate"]))
        raise ValueError(f"covariate must be one of {known}, got {covariate!r}. Choose one.")
    is_missing = rows["value"].isna().to_numpy()
    known, gone = rows[~is_missing], rows[is_missing]
    ax.axhline(0, color=INK, linewidth=0.8, zorder=1)
    ax.scatter(known["value"], known["shap_logit"], s=16, color=COLOURS[0], linewidths=0, zorder=2)
    if len(gone):
        low, high = (known["value"].min(), known["value"].max()) if len(known) else (0.0, 1.0)
        width = (high - low) or 1.0
        strip = np.linspace(low - 0.2 * width, low - 0.1 * width, len(gone))
        ax.axvspan(low - 0.23 * width, low - 0.07 * width, color="#EEEEEE", zorder=0)
        ax.scatter(strip, gone["shap_logit"].sort_values(), s=16, color=MISSING, linewidths=0)
        ax.text(
            low - 0.15 * width, 1.0, "missing", transform=ax.get_xaxis_transform(),
            ha="center", va="bottom", fontsize=9, color=INK,
        )  # fmt: skip
    categories = _categories(frame, covariate, references)
    if categories:
        ax.set_xticks(range(len(categories)), categories, rotation=20, ha="right")
    elif set(known["value"].unique()) <= {0.0, 1.0}:
        ax.set_xticks([0, 1], ["no", "yes"])
    ax.set_xlabel(label or covariate)
    ax.set_ylabel(f"Shapley value\n(change of the {explained.score})")
    ax.set_title(f"{len(known)} patients with the value, {len(gone)} without", fontsize=10, pad=16)
    return tidy(ax)


def plot_input_contributions(
    contributions: pd.DataFrame,
    shares: pd.DataFrame,
    *,
    ax: Axes,
    y_true: Mapping[str, int] | None,
    explained: Explained = RISK,
) -> Axes:
    """Draw what the ECG and what the covariates give to each patient's score.

    Parameters
    ----------
    contributions : DataFrame
        From `input_contributions`.
    shares : DataFrame
        From `variance_shares`.
    ax : Axes
        Where to draw.
    y_true : mapping of patient_id to 0 or 1, optional
        Outcome, for the marks.
    explained : Explained
        What the score is.

    Returns
    -------
    Axes
        One point a patient, both axes to one scale; a dashed line joins equal scores.
    """
    outcome = contributions["patient_id"].map(dict(y_true or {}))
    groups = (
        [("patients", np.ones(len(contributions), bool))]
        if y_true is None
        else [(name, (outcome == k).to_numpy()) for k, name in enumerate(explained.groups)]
    )
    for number, (name, chosen) in enumerate(groups):
        part = contributions[chosen]
        ax.scatter(
            part["covariates_logit"], part["ecg_logit"], s=22, color=COLOURS[number],
            marker="os"[number], linewidths=0, alpha=0.85, label=f"{name}: {len(part)}", zorder=2,
        )  # fmt: skip
    reach = 1.08 * float(contributions[["ecg_logit", "covariates_logit"]].abs().to_numpy().max())
    for level in np.linspace(-reach, reach, 5):
        ax.plot([-reach, reach], [level + reach, level - reach], color="#CCCCCC", linewidth=0.7,
                linestyle="--", zorder=0)  # fmt: skip
    ax.axhline(0, color=INK, linewidth=0.7, zorder=1)
    ax.axvline(0, color=INK, linewidth=0.7, zorder=1)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set_xlabel(f"from the covariates ({explained.score}, against the mean patient)")
    ax.set_ylabel(f"from the ECG ({explained.score}, against the mean patient)")
    of = shares.set_index("input")
    words = "; ".join(
        f"{label} {of.loc[name, 'share_percent']:.0f} % "
        f"({of.loc[name, 'ci_low']:.0f} to {of.loc[name, 'ci_high']:.0f})"
        for name, label in (("ecg", "ECG"), ("covariates", "covariates"))
    )
    ax.set_title(f"Differences between {len(contributions)} patients:\n{words}", fontsize=10)
    ax.legend(fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return tidy(ax)


def _by_covariate(frame: pd.DataFrame) -> pd.DataFrame:
    return sum_by_covariate(frame) if "column" in frame else frame


def _categories(
    frame: pd.DataFrame, covariate: str, references: Mapping[str, str] | None
) -> list[str]:
    """Return the names of a category's values by their position; none for a number."""
    columns = frame.loc[frame["covariate"] == covariate, "column"] if "column" in frame else []
    names = [str(column).partition("=")[2] for column in dict.fromkeys(columns)]
    if not (names and all(names)):
        return []
    first = (references or {}).get(covariate, "any other")
    return [name.replace("_", " ") for name in (first, *names)]


def _with_value(row: pd.Series, name: str, categories: list[str]) -> str:
    """Return the covariate's label with the patient's value."""
    if pd.isna(row["value"]):
        return f"{name}: missing"
    return f"{name} = " + (categories[int(row["value"])] if categories else f"{row['value']:.3g}")
