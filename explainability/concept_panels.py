"""The clinical questions as notebook 04 asks them: each answer with figure, caption and table."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from explainability.clinical_checks import ClinicalAnswers, FoldAccess, ask_networks
from explainability.concept_figures import (
    plot_associations,
    plot_map_associations,
    plot_replacements,
)
from explainability.concepts import (
    AssociationSettings,
    associations,
    attribution_associations,
    by_patient,
    within_fold_score,
)
from explainability.counterfactual import ABOUT, change_table, describe_change
from explainability.ecg_measurements import measure_ecgs, measured_counts
from explainability.explained import RISK, Explained
from explainability.explained_variance import ExplainedScore, explained_by_measurements
from explainability.neighbours import DISTANCE, plot_neighbours
from explainability.panels import BeatView, hatched
from explainability.record_beats import find_beats

__all__ = [
    "ClinicalAnswers",
    "FoldAccess",
    "ScoreConcepts",
    "ask_networks",
    "concepts_of_score",
    "map_concepts",
    "map_concepts_panel",
    "measure",
    "measurements_panel",
    "neighbours_panel",
    "of_answers",
    "one_a_patient",
    "one_network",
    "replacements_panel",
]

MAP_METHOD = "integrated gradients"
Panel = tuple[Figure, str, pd.DataFrame]


@dataclass(frozen=True)
class ScoreConcepts:
    """What ordinary measurements say about a network's score.

    Attributes
    ----------
    table : DataFrame
        Of `concepts.associations`.
    explained : ExplainedScore
        All measurements together.
    counts : DataFrame
        Of `ecg_measurements.measured_counts`, of records.
    n_patients, n_events : int
        Whose score it is.
    words : Explained
        What the score is.
    """

    table: pd.DataFrame
    explained: ExplainedScore
    counts: pd.DataFrame
    n_patients: int
    n_events: int
    words: Explained = RISK


def measure(ecg: np.ndarray, rate_hz: float) -> pd.DataFrame:
    """Return the clinical measurements of ECGs (n_records, n_samples, 12) in mV, a row each."""
    return measure_ecgs(find_beats(ecg, rate_hz))


def one_network(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the held-out scores of one network a fold: the first repeat and the first seed.

    Parameters
    ----------
    scores : DataFrame
        Test rows of the predictions: ``record_id, repeat, fold, y_score``, and ``seed`` where there
        are several.

    Returns
    -------
    DataFrame
        One row a record, ordered by record.
    """
    first = scores[scores["repeat"] == scores["repeat"].min()]
    if "seed" in first:
        first = first[first["seed"] == first["seed"].min()]
    one = first.drop_duplicates("record_id")
    return one.sort_values("record_id").reset_index(drop=True)


def one_a_patient(scores: pd.DataFrame, *, n: int, seed: int) -> pd.DataFrame:
    """Return one random ECG of each patient, and of `n` random patients at most, in their order."""
    one = scores.sample(frac=1.0, random_state=seed).drop_duplicates("patient_id").head(n)
    return one.sort_index().reset_index(drop=True)


def concepts_of_score(
    scores: pd.DataFrame,
    measurements: pd.DataFrame,
    *,
    covariates: pd.DataFrame | None = None,
    settings: AssociationSettings | None = None,
    explained: Explained = RISK,
) -> ScoreConcepts:
    """Return how the score of held-out patients goes together with measurements.

    Parameters
    ----------
    scores : DataFrame, n_records rows
        ``patient_id, repeat, fold, y_true, y_score``, one row a record, of `one_network`.
    measurements : DataFrame, n_records rows
        Of `ecg_measurements.measure_ecgs`, in the same order.
    covariates : DataFrame, optional
        Indexed by patient, numbers: what is held fixed besides the heart rate, such as age and sex.
    settings : AssociationSettings, optional
        Resamples and seed.
    explained : Explained
        What the score is.

    Raises
    ------
    ValueError
        If the numbers of rows differ.
    """
    if len(scores) != len(measurements):
        raise ValueError(
            f"measurements must have one row for each of the {len(scores)} scores, "
            f"got {len(measurements)}. Measure the same records."
        )
    ids = scores["patient_id"].to_numpy()
    score = within_fold_score(scores, explained)
    given = pd.DataFrame({"score": score, "y_true": scores["y_true"]})
    patients, measured = by_patient(given.astype(float), ids), by_patient(measurements, ids)
    fixed = measured[["heart_rate_bpm"]]
    if covariates is not None:
        fixed = fixed.join(covariates.loc[measured.index].astype(float))
    options = {"settings": settings}
    return ScoreConcepts(
        associations(patients["score"], measured, covariates=fixed, **options),
        explained_by_measurements(patients["score"], measured, **options),
        measured_counts(measurements),
        len(patients),
        int((patients["y_true"] == 1).sum()),
        explained,
    )


def map_concepts(
    view: BeatView,
    answers: ClinicalAnswers,
    *,
    method: str = MAP_METHOD,
    settings: AssociationSettings | None = None,
) -> pd.DataFrame:
    """Return `concepts.attribution_associations` of the explained records.

    Parameters
    ----------
    view : BeatView
        Its maps, waves and records (``patient_id, repeat, fold``).
    answers : ClinicalAnswers
        Of the same records: their beats are measured.
    method : str
        One of the view's maps, with a lead axis.
    settings : AssociationSettings, optional
        Resamples and seed.
    """
    measured, masks = measure_ecgs(answers.beats), view.windows.masks
    return attribution_associations(
        view.maps[method], masks, measured, view.records, settings=settings
    )


def map_concepts_panel(
    table: pd.DataFrame, view: BeatView, *, method: str = MAP_METHOD, n_rows: int = 12
) -> Panel:
    """Draw `map_concepts`, hatched where the map failed its report card."""
    n_shown = min(n_rows, table.dropna(subset="correlation")["measurement"].nunique())
    figure, ax = plt.subplots(figsize=(8.6, 3.0 + 0.42 * n_shown), layout="constrained")
    words, n_events = view.explained, None
    if not words.is_number:
        n_events = int(view.records.groupby("patient_id")["y_true"].max().eq(1).sum())
    plot_map_associations(table, ax=ax, n_rows=n_rows, n_events=n_events, explained=words)
    caption = (
        f"Rank correlation of what is measured in a wave with the map ({method}) in the same wave "
        "and leads, compared within the fold. A larger wave may get a larger share merely because "
        f"these maps multiply by the deflection; whether the {words.told} goes up with it does not "
        f"follow from that. One ECG a patient, from the thirds of highest and lowest {words.told}: "
        "in all patients the correlations would be smaller. An association with the map says what "
        "the network does with a wave, nothing about the disease."
    )
    return hatched(figure, view, method), caption, table


def measurements_panel(found: ScoreConcepts, *, n_rows: int = 15, note: str = "") -> Panel:
    """Draw the strongest associations of the score with measurements."""
    n_shown = min(n_rows, found.table["measurement"].nunique())
    figure, ax = plt.subplots(figsize=(8.6, 2.2 + 0.36 * n_shown), layout="constrained")
    n_events = None if found.words.is_number else found.n_events
    plot_associations(found.table, ax=ax, n_rows=n_rows, n_events=n_events, title=note)
    given = max(found.table["adjusted_for"], key=len) or "nothing"
    caption = (
        f"Rank correlation of the score of held-out patients ({found.words.score}, within the "
        "fold) with what is "
        f"measured in their ECGs, alone and given {given}. An association says what goes "
        f"together with the score, not what the network computes. {found.explained.sentence()}"
    )
    return figure, caption, found.table


def neighbours_panel(
    answers: ClinicalAnswers,
    record: pd.Series,
    row: int,
    note: str = "",
    explained: Explained = RISK,
) -> Panel:
    """Draw one held-out patient beside the most alike training patients.

    Parameters
    ----------
    answers : ClinicalAnswers
        Of `clinical_checks.ask_networks`.
    record : Series
        The row of the explained records: ``record_id, y_true, y_score``.
    row : int
        Its position among them.
    note : str
        Above the figure.
    explained : Explained
        What the score is.
    """
    table = answers.neighbours[answers.neighbours["record_id"] == record["record_id"]]
    value = explained.prediction(record["y_score"])
    titles = [f"{record['record_id']} ({value})\n{explained.group(record['y_true'])}"]
    for near in table.itertuples():
        outcome = explained.group(near.neighbour_y_true)
        titles.append(f"{near.neighbour_record_id}\n{outcome}\ndistance {near.distance:.2f}")
    beats = [answers.beats.beats_mv[row]]
    beats += [answers.neighbour_beats[name] for name in table["neighbour_record_id"]]
    figure = plot_neighbours(beats, answers.beats.seconds, titles, note=note)
    n_events = int((table["neighbour_y_true"] == 1).sum())
    caption = (
        f"{n_events} of the {len(table)} nearest training patients {explained.had}. Distance: "
        f"{DISTANCE}; 95 % of training ECGs have a neighbour within "
        f"{table['usual_distance'].iloc[0]:.2f}."
    )
    if table["is_outside_training_range"].iloc[0]:
        caption += " This ECG is farther away than that: the network has seen none like it."
    return figure, caption, table


def replacements_panel(
    answers: ClinicalAnswers,
    *,
    settings: AssociationSettings | None = None,
    note: str = "",
    explained: Explained = RISK,
) -> Panel:
    """Draw how much the score changes with waves replaced, and say the largest change."""
    table = change_table(answers.replacements, settings=settings)
    figure, ax = plt.subplots(figsize=(8.6, 5.4), layout="constrained")
    plot_replacements(table, ax=ax, title=note, explained=explained)
    replaced = answers.replacements[answers.replacements["is_replaced"]]
    change = (replaced["risk_after"] - replaced["risk"]).abs()
    example = describe_change(replaced.loc[change.idxmax()], explained) if len(replaced) else ""
    caption = (
        f"Mean size of the change of the {explained.score} when a part of the beat is replaced by "
        f"the mean of training patients {explained.without}. {ABOUT} Largest change: {example}"
    )
    return figure, caption, table


def of_answers(answers: ClinicalAnswers, view: BeatView, mapped: pd.DataFrame) -> dict[str, Panel]:
    """Return the figures of measured maps, replaced waves, and neighbours of two patients.

    Parameters
    ----------
    answers : ClinicalAnswers
        Of `clinical_checks.ask_networks`.
    view : BeatView
        Its records, highest score first, are those that were asked about (``record_id, y_true,
        y_score``); neighbours are shown of the first and of the last.
    mapped : DataFrame
        Of `map_concepts`.
    """
    records, explained = view.records, view.explained
    found = {
        "6_measurements_and_map": map_concepts_panel(mapped, view),
        "7_replaced_waves": replacements_panel(answers, explained=explained),
    }
    for row in (0, len(records) - 1):
        panel = neighbours_panel(answers, records.iloc[row], row, explained=explained)
        found[f"8_neighbours_{row:03d}"] = panel
    return found
