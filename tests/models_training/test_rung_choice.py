"""The rung is chosen by inner validation patients alone, and the choice is written down."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from models_training.fold_store import FOLDS, FoldStore
from models_training.rung_choice import choice_table, choose_by_fold, fit_choice, inner_losses
from models_training.variant_fit import VariantFit


def scored(data, splits, noise_of, seed=0):
    """Return predictions of all training and test patients; noise by (fold, role of the split)."""
    rng = np.random.default_rng(seed)
    parts = []
    for (repeat, fold), part in splits.groupby(["repeat", "fold"]):
        role_of = part.set_index("patient_id")["role"]
        table = data.records[["record_id", "patient_id"]].copy()
        split_role = table["patient_id"].map(role_of)
        y_true = data.y_true.reshape(len(table))
        noise = split_role.map(lambda role, fold=fold: noise_of(fold, role)).to_numpy()
        score = 1 / (1 + np.exp(-(2 * y_true - 1 + noise * rng.normal(size=len(table)))))
        role = np.where(split_role == "test", "test", "validation")
        facts = {"repeat": repeat, "fold": fold, "role": role, "y_true": y_true.astype(int)}
        parts.append(table.assign(**facts, y_score=score))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def cohort(make_data, make_splits):
    data = make_data(60)
    return data, make_splits(data)


def fits(data, splits, noises):
    """Return `fit_rung` whose rungs have the noises given, and what it was asked."""
    asked = []

    def fit_rung(rung, folder):
        asked.append(rung)
        predictions = scored(data, splits, noises[rung])
        for (repeat, fold), part in predictions.groupby(["repeat", "fold"]):
            store = FoldStore(folder / FOLDS, repeat, fold, "mark")
            store.write([np.full(2, len(asked))], pd.DataFrame({"epoch": [1]}), part)
        trained = splits[splits["role"] == "train"].groupby(["repeat", "fold"])["patient_id"]
        fitted_on = {key: sorted(ids) for key, ids in trained}
        about = {"n_epochs": len(asked)}
        history = pd.DataFrame()
        return VariantFit("", [], history, predictions, fitted_on, ("train",), rung, about)

    return fit_rung, asked


def test_the_loss_is_that_of_the_inner_patients_mean_logits(cohort):
    data, splits = cohort
    predictions = scored(data, splits, lambda *_: 1.0)
    found = inner_losses(predictions, splits)
    table = choose_by_fold(found.assign(rung="embedding"))
    for row in table.to_dict("records"):
        here = (predictions["fold"] == row["fold"]) & (predictions["role"] == "validation")
        inner = splits[(splits["fold"] == row["fold"]) & (splits["role"] == "validation")]
        mine = predictions[here & predictions["patient_id"].isin(inner["patient_id"])]
        logits = np.log(mine["y_score"] / (1 - mine["y_score"])).groupby(mine["patient_id"]).mean()
        y_true = mine.groupby("patient_id")["y_true"].first()
        assert row["val_loss"] == pytest.approx(log_loss(y_true, 1 / (1 + np.exp(-logits))))
        assert (row["n_patients"], row["n_events"]) == (len(inner), y_true.sum())


def test_each_fold_takes_the_rung_its_inner_patients_prefer(cohort, tmp_path):
    data, splits = cohort
    noises = {
        "embedding": lambda fold, role: 0.1 if fold == 0 else 6.0,
        "full": lambda fold, role: 0.1 if fold == 1 else 6.0,
    }
    fit_rung, asked = fits(data, splits, noises)
    found = fit_choice(fit_rung, noises, splits, tmp_path)
    assert asked == ["embedding", "full"]
    table = choice_table(found.history)
    assert table["chosen"].tolist() == ["embedding", "full"]
    assert list(table.columns) == ["repeat", "fold", "embedding", "full", "chosen", "n_events"]
    assert (table["n_events"] > 0).all()
    for fold, rung in enumerate(table["chosen"]):
        expected = scored(data, splits, noises[rung]).query("fold == @fold and role == 'test'")
        tested = found.predictions.query("fold == @fold and role == 'test'")
        np.testing.assert_array_equal(tested["y_score"], expected["y_score"])
        stored = FoldStore(tmp_path / FOLDS, 0, fold, "").weights()[0]
        assert stored[0] == 1 + asked.index(rung)
    assert found.fitted_roles == ("train", "validation")
    for (_, fold), seen in found.fitted_on.items():
        here = splits[splits["fold"] == fold]
        assert set(seen) == set(here[here["role"].isin(found.fitted_roles)]["patient_id"])


def test_test_patients_never_move_the_choice(cohort, tmp_path):
    """A planted leak: the rung that is perfect on test patients loses on the inner ones."""
    data, splits = cohort
    noises = {
        "embedding": lambda fold, role: 1.0,
        "full": lambda fold, role: 0.0 if role == "test" else 5.0,
    }
    found = fit_choice(fits(data, splits, noises)[0], noises, splits, tmp_path)
    assert set(found.history.query("is_chosen")["rung"]) == {"embedding"}
    assert found.about["rung"] == "embedding"
    assert found.model == "embedding"
    only_inner = found.predictions.query("role == 'validation'")
    for fold, part in only_inner.groupby("fold"):
        inner = splits[(splits["fold"] == fold) & (splits["role"] == "validation")]
        assert set(part["patient_id"]) == set(inner["patient_id"])


def test_training_patients_outside_the_inner_fold_do_not_move_it_either(cohort, tmp_path):
    data, splits = cohort
    noises = {
        "embedding": lambda fold, role: 1.0,
        "full": lambda fold, role: 0.0 if role == "train" else 5.0,
    }
    found = fit_choice(fits(data, splits, noises)[0], noises, splits, tmp_path)
    assert found.about["rung"] == "embedding"


@pytest.mark.parametrize(
    ("gains", "chosen"),
    [
        (np.zeros(25), "embedding"),  # of equals the cheaper
        (np.full(25, 0.001), "full"),  # small, but in every patient
        (0.1 + np.resize([-0.6, 0.6], 24), "embedding"),  # SE 0.125
        (0.1 + np.resize([-0.4, 0.4], 24), "full"),  # SE 0.083
        (np.array([5.0]), "embedding"),  # one patient
    ],
)
def test_a_costlier_rung_must_be_better_by_more_than_one_standard_error(gains, chosen):
    n = len(gains)
    patients = {"repeat": 0, "fold": 0, "patient_id": np.arange(n), "y_true": 0}
    base = np.random.default_rng(0).uniform(0.1, 2.0, n)
    first = pd.DataFrame(patients | {"rung": "embedding", "val_loss": base})
    second = pd.DataFrame(patients | {"rung": "full", "val_loss": base - gains})
    found = choose_by_fold(pd.concat([first, second.iloc[::-1]], ignore_index=True))
    assert found.loc[found["is_chosen"], "rung"].tolist() == [chosen]
    assert found["val_loss"].diff().iloc[1] == pytest.approx(-gains.mean())


def test_a_rung_is_compared_with_the_one_in_place_not_with_the_first():
    patients = {"repeat": 0, "fold": 0, "patient_id": np.arange(30), "y_true": 0}
    wave = np.resize([-0.2, 0.2], 30)  # SE of the last step 0.037
    tables = [
        pd.DataFrame(patients | {"rung": rung, "val_loss": 1.0 - gain})
        for rung, gain in (("a", 0.0), ("b", 0.3), ("c", 0.31 + wave))
    ]
    found = choose_by_fold(pd.concat(tables, ignore_index=True))
    assert found.loc[found["is_chosen"], "rung"].tolist() == ["b"]
