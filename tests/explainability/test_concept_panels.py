"""What notebook 04 shows of the clinical questions says what the tables say."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from explainability.beat_intervals import INTERVALS
from explainability.clinical_checks import ClinicalAnswers
from explainability.concept_panels import (
    concepts_of_score,
    map_concepts,
    map_concepts_panel,
    measurements_panel,
    neighbours_panel,
    one_network,
    replacements_panel,
)
from explainability.concepts import AssociationSettings
from explainability.delineation import WaveWindows
from explainability.median_beats import MedianBeats
from explainability.panels import BeatView
from explainability.record_beats import MARKS, RecordBeats

FEW = AssociationSettings(n_bootstrap=50)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def scores_of(n=60):
    rng = np.random.default_rng(0)
    t_wave = rng.normal(size=n)
    measured = pd.DataFrame({"heart_rate_bpm": rng.normal(70, 8, n), "t_v5_mv": t_wave})
    table = pd.DataFrame(
        {
            "record_id": [f"R{k:05d}" for k in range(n)],
            "patient_id": np.repeat([f"P{k:04d}" for k in range(n // 2)], 2),
            "repeat": 0,
            "fold": np.repeat(np.arange(n // 2) % 3, 2),
            "y_true": np.repeat(np.arange(n // 2) % 5 == 0, 2).astype(int),
            "y_score": 1 / (1 + np.exp(t_wave)),
        }
    )
    return table, measured


def test_one_row_a_record_of_the_first_network():
    table, _ = scores_of(6)
    many = pd.concat([table.assign(repeat=r, seed=s) for r in (1, 0) for s in (5, 3)])
    found = one_network(many)
    assert found["record_id"].tolist() == table["record_id"].tolist()
    assert set(found["repeat"]) == {0}
    assert set(found["seed"]) == {3}


def test_the_score_of_a_network_that_reads_t_is_explained_by_t():
    table, measured = scores_of()
    age = pd.DataFrame({"age_years": np.arange(30.0)}, index=table["patient_id"].unique())
    found = concepts_of_score(table, measured, covariates=age, settings=FEW)
    assert (found.n_patients, found.n_events) == (30, 6)
    assert found.explained.r_squared > 0.8
    rows = found.table.set_index(["measurement", "adjusted_for"])["correlation"]
    assert rows["t_v5_mv", ""] < -0.85
    assert rows["t_v5_mv", "heart rate (beats a minute), age_years"] < -0.85
    _, caption, shown = measurements_panel(found)
    assert found.explained.sentence() in caption
    assert shown is found.table
    with pytest.raises(ValueError, match="one row for each of the 60 scores, got 59"):
        concepts_of_score(table, measured.iloc[1:])


def answers_of():
    rows = {
        "record_id": "R1", "patient_id": "P1", "wave": "T", "leads": ["V4 to V6", "V1 to V3"],
        "logit": 1.0, "logit_after": [-1.0, 0.9], "risk": 0.73, "risk_after": [0.27, 0.71],
        "is_replaced": True, "is_outside_training_range": False,
        "was_outside_training_range": False,
    }  # fmt: skip
    near = {
        "record_id": "R1", "patient_id": "P1", "rank": [1, 2], "neighbour_record_id": ["R7", "R8"],
        "neighbour_y_true": [1, 0], "distance": [0.4, 0.5], "usual_distance": 0.3,
        "is_outside_training_range": True,
    }  # fmt: skip
    seconds = np.linspace(-0.3, 0.6, 20)
    none = pd.DataFrame(index=[0])
    beats = RecordBeats(seconds, np.zeros((1, 20, 12)), none, none, none, [], 100.0)
    shown = {name: np.zeros((20, 12)) for name in ("R7", "R8")}
    return ClinicalAnswers(beats, pd.DataFrame(near), shown, pd.DataFrame(rows))


def test_the_neighbours_are_told_with_their_outcome_and_their_distance():
    record = pd.Series({"record_id": "R1", "y_true": 1, "y_score": 0.73})
    figure, caption, table = neighbours_panel(answers_of(), record, 0)
    assert [ax.get_title() for ax in figure.axes[:3]] == [
        "R1 (risk = 0.73)\nevent",
        "R7\nevent\ndistance 0.40",
        "R8\nno event\ndistance 0.50",
    ]
    assert caption.startswith("1 of the 2 nearest training patients had the event.")
    assert caption.endswith("farther away than that: the network has seen none like it.")
    assert len(table) == 2


def test_the_largest_change_is_said_in_words():
    _, caption, table = replacements_panel(answers_of(), settings=FEW)
    assert "T wave of training patients without the event in V4 to V6" in caption
    assert "would be 0.27 instead of 0.73" in caption
    assert table.set_index("leads")["size_logit"].to_dict() == pytest.approx(
        {"V4 to V6": 2.0, "V1 to V3": 0.1}
    )


@pytest.mark.parametrize("reason", ["", "seeds disagree (0.31)"])
def test_the_map_is_held_against_the_measurements_and_hatched_where_it_failed(reason):
    n = 24
    heights = np.random.default_rng(1).normal(0.3, 0.1, n)
    seconds = np.linspace(-0.3, 0.6, 91)
    is_t = (seconds >= 0.2) & (seconds <= 0.4)
    ecg = np.zeros((n, 91, 12))
    ecg[:, is_t] = heights[:, None, None]
    marks = pd.DataFrame([(-0.2, -0.1, -0.05, 0.05, 0.2, 0.4)] * n, columns=list(MARKS))
    intervals = pd.DataFrame([(150.0, 100.0, 450.0)] * n, columns=list(INTERVALS))
    rhythm = pd.DataFrame({"heart_rate_bpm": [60.0] * n, "rmssd_ms": 9.0, "n_premature_beats": 0.0})
    beats = RecordBeats(
        seconds, ecg, marks, intervals, rhythm.assign(n_beats=9.0), [np.array([30])] * n, 100.0
    )
    masks = {name: np.zeros((n, 91), dtype=bool) for name in ("P", "QRS", "ST", "T")}
    masks["T"][:, is_t] = True
    records = pd.DataFrame(
        {"patient_id": range(n), "repeat": 0, "fold": 0, "y_true": [1] + [0] * 23}
    )
    windows = WaveWindows(masks, beats.normal_peaks, pd.DataFrame(index=range(n)))
    aligned = MedianBeats(ecg, {}, seconds, pd.DataFrame(index=range(n)))
    failed = {"integrated gradients": reason} if reason else {}
    view = BeatView(ecg, {"integrated gradients": -ecg}, records, windows, aligned, failed)
    answers = ClinicalAnswers(beats, pd.DataFrame(), {}, pd.DataFrame())
    table = map_concepts(view, answers, settings=FEW)
    found = table.set_index(["measurement", "of"])["correlation"]
    assert found["t_v5_mv", "signed sum"] == pytest.approx(-1)  # -x: larger waves lower the risk
    figure, caption, drawn = map_concepts_panel(table, view)
    assert drawn is table
    assert "24 patients, 1 events" in figure.axes[0].get_title()
    assert "thirds of highest and lowest risk" in caption
    assert [reason in text.get_text() for text in figure.texts] == [True] * bool(reason)
