"""The card by itself: limits, intervals, verdicts and the rule, on values made by hand."""

from __future__ import annotations

import dataclasses
import re

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import roc_auc_score

from explainability.card_figures import card_panel, plot_report_card
from explainability.card_rules import CHECKS, IF_POSSIBLE, NECESSARY, REPORTED, Check
from explainability.explained import Explained
from explainability.report_card import auroc_within_folds, map_verdict, report_card

GOOD = {
    "random_weights": 0.1, "random_weights_floor": 0.08, "random_upper_weights": 0.4,
    "random_labels": 0.2, "seed_agreement": 0.8, "seed_floor": 0.1, "seed_above_floor": 0.7,
    "repeat_agreement": 0.7, "deletion": 1.0, "insertion": 1.2, "deletion_qrs": 0.4,
    "insertion_qrs": 0.4, "planted_truth": 2.0, "planted_above_size": 0.2, "noise": 0.05,
    "time_shift": 0.1, "part_shift": 0.3, "size": 0.3, "qrs": 0.2,
}  # fmt: skip


def made_values(n_patients=20, spread=0.01, seed=0, **changes):
    rng = np.random.default_rng(seed)
    parts = []
    for measure, level in (GOOD | changes).items():
        if level is None:
            continue
        part = pd.DataFrame({"patient_id": [f"P{k}" for k in range(n_patients)]})
        part["record_id"] = part["patient_id"] + "a"
        parts.append(part.assign(measure=measure, at=np.nan))
        parts[-1]["value"] = level + rng.normal(0, spread, n_patients)
    for kind in ("deletion", "insertion"):
        for name in ("map", "random", "qrs"):
            for at in (0.1, 0.5):
                curve = parts[0].assign(measure=f"{kind}_curve_{name}", at=at, value=at)
                parts.append(curve)
    return pd.concat(parts, ignore_index=True)


def made_scores(gap=3.0, n=30, seed=0):
    rng = np.random.default_rng(seed)
    y_true = np.tile([0, 0, 1], n // 3)
    risk = 1 / (1 + np.exp(-(rng.normal(size=n) + gap * y_true)))
    table = pd.DataFrame({"patient_id": [f"P{k}" for k in range(n)], "repeat": 0})
    return table.assign(fold=np.arange(n) % 2, y_true=y_true, y_score=risk)


def card_of(scores=True, **changes):
    return report_card(made_values(**changes), scores=made_scores() if scores else None)


def of(card, check):
    return card.set_index("check").loc[check]


def test_every_check_says_why_and_whence():
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.question.endswith("?")
        assert "doi 10." in check.source
        assert str(check.reason).startswith(f"{check.limit:g}")
        assert check.role in (NECESSARY, IF_POSSIBLE, REPORTED)


def test_a_good_map_passes_each_check():
    card = card_of()
    assert set(card["verdict"]) == {"pass"}
    n = int((card["role"] != REPORTED).sum())
    assert map_verdict(card).sentence == f"This map passes all {n} checks that decide."
    assert (
        "Random weights and the map of another patient: 0.08."
        in of(card, "random_weights")["reason"]
    )


BAD = {check.name: 3.0 if check.side == "below" else -3.0 for check in CHECKS}
BAD.pop("network_learnt")


@pytest.mark.parametrize("name", list(BAD))
def test_one_bad_value_fails_its_check_and_the_map_where_it_decides(name):
    card = card_of(**{name: BAD[name]})
    assert of(card, name)["verdict"] == "fail"
    assert (card["verdict"] == "fail").sum() == 1
    decides = of(card, name)["role"] != REPORTED
    assert map_verdict(card).verdict == ("fail" if decides else "pass")
    if decides:
        check = of(card, name)
        interval = "{estimate:.2f} ({ci_low:.2f} to {ci_high:.2f})".format(**check)
        expected = f"{name.replace('_', ' ')} {interval}, to be {check['side']}"
        assert map_verdict(card).reason.startswith(expected)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_what_was_not_made_is_said_and_decides_only_where_it_is_necessary(check):
    if check.name == "network_learnt":
        card = card_of(scores=False)
    else:
        card = card_of(**{check.name: None})
    row = of(card, check.name)
    assert row["verdict"] == "not made"
    assert row["reason"].startswith(f"Not made: {check.if_missing}.")
    assert np.isnan(row["estimate"])
    expected = "not decided" if check.role == NECESSARY else "pass"
    assert map_verdict(card).verdict == expected


def test_an_interval_across_the_limit_is_no_pass():
    card = card_of(spread=0.5, seed_agreement=0.55)
    row = of(card, "seed_agreement")
    assert row["ci_low"] < 0.5 < row["ci_high"]
    assert row["verdict"] == "fail"
    assert row["reason"].startswith("The interval reaches across the limit")


def test_few_patients_are_not_judged():
    row = of(card_of(n_patients=9), "noise")
    assert (row["verdict"], row["n"]) == ("not made", 9)
    assert row["reason"].startswith("Not made: 9 patients, and 10 are needed.")


def test_the_patient_is_the_unit():
    values = made_values()
    again = pd.concat([values, values.assign(record_id=values["record_id"] + "b")])
    pd.testing.assert_frame_equal(report_card(again), report_card(values))


def test_estimate_and_interval_are_those_of_the_patients_means():
    values = made_values(spread=0.2)
    noise = values[values["measure"] == "noise"]["value"].to_numpy()
    row = of(report_card(values, seed=3), "noise")
    rng = np.random.default_rng(3)
    expected = bootstrap((noise,), np.mean, n_resamples=2000, rng=rng).confidence_interval
    assert row["estimate"] == pytest.approx(noise.mean())
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((expected.low, expected.high))
    assert row["n"] == 20


def test_values_that_do_not_differ_have_an_interval_of_no_width():
    row = of(card_of(spread=0.0), "size")
    assert row["ci_low"] == row["ci_high"] == pytest.approx(0.3)
    assert row["verdict"] == "pass"


def test_a_map_that_is_flat_in_some_patients_is_counted():
    values = made_values()
    is_flat = (values["measure"] == "noise") & values["patient_id"].isin(["P0", "P1"])
    row = of(report_card(values.assign(value=values["value"].mask(is_flat))), "noise")
    assert row["n"] == 18
    assert "2 have no value." in row["reason"]


def test_auroc_is_the_mean_within_folds_of_the_patients_mean_logits():
    scores = made_scores(gap=1.0)
    other = scores.assign(y_score=1 - scores["y_score"].to_numpy()[::-1])
    both = pd.concat([scores, other])
    logits = np.log(both["y_score"] / (1 - both["y_score"]))
    means = both.assign(logit=logits).groupby(["fold", "patient_id"])[["y_true", "logit"]].mean()
    expected = [roc_auc_score(f["y_true"], f["logit"]) for _, f in means.groupby("fold")]
    found = auroc_within_folds(both)
    assert found.estimate == pytest.approx(np.mean(expected))
    assert found.ci_low < found.estimate < found.ci_high
    assert found.n == 30
    assert "10 events" in found.note


def test_scores_by_chance_fail_and_one_outcome_class_is_not_judged():
    chance = report_card(made_values(), scores=made_scores(gap=0.0))
    assert of(chance, "network_learnt")["verdict"] == "fail"
    one = report_card(made_values(), scores=made_scores().assign(y_true=0))
    assert of(one, "network_learnt")["verdict"] == "not made"


def test_values_of_another_table_are_refused():
    with pytest.raises(ValueError, match=r"values must have the columns \['at'\], got"):
        report_card(made_values().drop(columns="at"))


@pytest.mark.parametrize("change", [{"side": "left"}, {"role": "nice"}])
def test_a_check_with_an_unknown_side_or_role_is_refused(change):
    with pytest.raises(ValueError, match=r"(side|role) must be"):
        dataclasses.replace(CHECKS[0], **change)
    assert isinstance(CHECKS[0], Check)


def test_the_figure_says_verdicts_in_words_and_by_shape():
    card = card_of(seed_agreement=0.1, random_labels=None)
    ax = plot_report_card(card, title="Grad-CAM")
    texts = [text.get_text() for text in ax.texts]
    assert sum(text.startswith("FAIL: 0.10") for text in texts) == 1
    assert sum(text.startswith("not made: no networks trained on shuffled") for text in texts) == 1
    assert sum(text.startswith("PASS") for text in texts) == len(card) - 2
    assert {"o", "X", "s"} == {str(line.get_marker()) for line in ax.lines} - {"None"}
    title = " ".join(ax.get_title().split())
    pattern = r"report card: seed agreement 0.10 \(0.\d\d to 0.\d\d\), to be above 0.5"
    assert re.search(pattern, title)
    plt.close("all")


def test_the_panel_holds_card_and_curves():
    values = made_values()
    card = report_card(values)
    figure, caption, table = card_panel(card, values, title="Integrated gradients")
    titles = [ax.get_title() for part in figure.subfigs for ax in part.axes]
    assert "Deletion; 20 patients, 20 ECGs" in titles
    assert "bootstrap of patients" in caption
    assert table is card
    plt.close(figure)


def test_a_predicted_number_is_ranked_as_it_is_not_as_a_risk():
    rng = np.random.default_rng(0)
    number = rng.normal(30, 8, 40)
    scores = pd.DataFrame(
        {
            "patient_id": [f"P{k}" for k in range(40)],
            "repeat": 0,
            "fold": np.arange(40) % 2,
            "y_true": (number > np.median(number)).astype(int),
            "y_score": number,
        }
    )
    assert auroc_within_folds(scores, explained=Explained(is_number=True)).estimate == 1.0
