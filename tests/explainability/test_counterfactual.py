"""Waves replaced in constructed ECGs, asked of networks whose answer is known."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from explainability.concept_figures import plot_replacements
from explainability.concepts import AssociationSettings
from explainability.counterfactual import (
    FoldNetwork,
    change_table,
    describe_change,
    score_replacements,
)
from explainability.neighbours import FeatureSpace
from explainability.r_peaks import LEADS
from explainability.record_beats import MARKS, RecordBeats
from explainability.wave_replacement import (
    LEAD_GROUPS,
    REPLACEABLE,
    reference_waves,
    replace_wave,
)

RATE, N_SAMPLES = 250, 1000
PEAKS = np.array([150, 350, 550, 750, 980])  # the last one's T wave is cut off by the end
SECONDS = np.arange(-87, 163) / RATE
V5 = LEADS.index("V5")


def ecg_of(t_heights, t_stop=0.4):
    """Return ECGs with P, QRS and a T wave (a sine arch from 0.2 s) of given heights, and beats."""
    ecg = np.zeros((len(t_heights), N_SAMPLES, 12))
    beats = np.zeros((len(t_heights), len(SECONDS), 12))
    gains = limb_like(np.array([0.7, 1.0]), np.array([-0.4, 0.3, 0.6, 1.0, 1.0, 0.8]))
    for row, height in enumerate(t_heights):
        for seconds, target in (
            (SECONDS, beats[row]),
            *(((np.arange(N_SAMPLES) - peak) / RATE, ecg[row]) for peak in PEAKS),
        ):
            arch = np.where((seconds > 0.2) & (seconds < t_stop), 1.0, 0.0)
            arch *= np.sin(np.pi * (seconds - 0.2) / (t_stop - 0.2)) ** 2
            shape = np.exp(-0.5 * (seconds / 0.01) ** 2) + height * arch
            shape += 0.1 * np.exp(-0.5 * ((seconds + 0.16) / 0.02) ** 2)
            target += shape[:, None] * gains
    marks = pd.DataFrame([(-0.22, -0.1, -0.05, 0.05, 0.2, t_stop)] * len(ecg), columns=list(MARKS))
    none = pd.DataFrame(index=marks.index)
    return ecg, RecordBeats(SECONDS, beats, marks, none, none, [PEAKS] * len(ecg), RATE)


def limb_like(independent, chest):
    one, two = independent
    return np.r_[one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2, chest]


def reads_t_wave(inputs):
    """Return the sum of V5 over the T wave of the second beat: a linear network."""
    seconds = (np.arange(N_SAMPLES) - PEAKS[1]) / RATE
    return inputs["ecg"][:, (seconds > 0.2) & (seconds < 0.4), V5].sum(axis=1, dtype=np.float64)


def test_a_network_that_reads_the_t_wave_gives_the_risk_of_the_reference():
    sick, sick_beats = ecg_of([-0.3, 0.1])
    well, well_beats = ecg_of([0.3])
    reference = reference_waves(well_beats, ["P1"])
    altered, is_replaced = replace_wave(sick, sick_beats, reference, wave="T", leads=["V5"])
    assert is_replaced.all()
    # exact but for the 30 ms at either end, where the arch is below 4 % of its height
    expected = reads_t_wave({"ecg": well})[0]
    assert reads_t_wave({"ecg": altered}) == pytest.approx(expected, rel=0.02)
    untouched, _ = replace_wave(sick, sick_beats, reference, wave="T", leads=["V2"])
    assert reads_t_wave({"ecg": untouched}) == pytest.approx(reads_t_wave({"ecg": sick}))


def test_the_reference_is_stretched_to_the_length_of_the_patients_wave():
    _, long_beats = ecg_of([0.3], t_stop=0.5)
    short, short_beats = ecg_of([-0.3], t_stop=0.4)
    reference = reference_waves(long_beats, ["P1"])
    altered, _ = replace_wave(short, short_beats, reference, wave="T", leads=["V5"])
    expected, _ = ecg_of([0.3], t_stop=0.4)
    assert np.abs(altered[..., V5] - expected[..., V5]).max() < 0.02


@pytest.mark.parametrize("wave", list(REPLACEABLE))
def test_a_wave_replaced_by_itself_changes_nothing(wave):
    ecg, beats = ecg_of([0.2])
    altered, is_replaced = replace_wave(
        ecg, beats, reference_waves(beats, ["P1"]), wave=wave, leads=LEAD_GROUPS["all leads"]
    )
    assert is_replaced.all()
    np.testing.assert_allclose(altered, ecg, atol=2e-6)


@pytest.mark.parametrize("leads", [*LEAD_GROUPS.values(), ("I",)])
def test_only_the_wave_and_the_leads_change_and_einthoven_holds(leads):
    ecg, beats = ecg_of([-0.3])
    _, others = ecg_of([0.3])
    altered, _ = replace_wave(ecg, beats, reference_waves(others, ["P1"]), wave="T", leads=leads)
    one, two, three, right, left, foot = altered[0, :, :6].T
    np.testing.assert_allclose(three, two - one, atol=1e-5)
    np.testing.assert_allclose(right + left + foot, 0, atol=1e-5)
    np.testing.assert_allclose(left, one - two / 2, atol=1e-5)
    change = np.abs(altered - ecg)
    chest_changed = {lead for lead in LEADS[6:] if change[..., LEADS.index(lead)].max() > 1e-4}
    assert chest_changed == set(leads) & set(LEADS[6:])
    relative = (np.arange(N_SAMPLES)[:, None] - PEAKS) / RATE
    in_t = ((relative > 0.2 - 0.005) & (relative < 0.4 + 0.005)).any(axis=1)
    assert change[:, ~in_t].max() < 1e-6


def test_no_step_appears_at_the_joins():
    ecg, beats = ecg_of([0.0])
    raised = ecg_of([0.0])[1]
    raised.beats_mv[:, SECONDS > 0.05] += 0.2  # an ST segment lifted at both ends
    altered, _ = replace_wave(ecg, beats, reference_waves(raised, ["P1"]), wave="ST", leads=["V2"])
    steps = np.abs(np.diff(altered[0, :, LEADS.index("V2")] - ecg[0, :, LEADS.index("V2")]))
    assert steps.max() < 0.1
    assert (altered - ecg)[0, :, LEADS.index("V2")].max() == pytest.approx(0.2, abs=0.01)


def test_a_wave_that_was_not_found_is_not_replaced():
    ecg, beats = ecg_of([0.2, 0.2])
    beats.marks_seconds.loc[1, ["p_start", "p_stop"]] = np.nan
    reference = reference_waves(beats, ["P1", "P2"])
    assert reference.n_patients == {"P": 1, "PQ": 1, "QRS": 2, "ST": 2, "T": 2}
    altered, is_replaced = replace_wave(ecg, beats, reference, wave="P", leads=["V1"])
    assert is_replaced.tolist() == [True, False]
    np.testing.assert_array_equal(altered[1], ecg[1].astype(np.float32))
    without_p = reference_waves(beats.take([1]), ["P2"])
    assert without_p.n_patients["P"] == 0
    assert not replace_wave(ecg, beats, without_p, wave="P", leads=["V1"])[1].any()


@pytest.mark.parametrize(
    ("wave", "leads", "message"),
    [
        ("U", ["V1"], r"wave must be one of \['P', .*\], got 'U'"),
        ("T", ["aVL"], r"leads must be among I, II, V1, .*, got \['aVL'\]. III, aVR, aVL and aVF"),
        ("T", [], "leads must be among .* got none"),
    ],
)
def test_bad_questions_are_refused(wave, leads, message):
    ecg, beats = ecg_of([0.2])
    with pytest.raises(ValueError, match=message):
        replace_wave(ecg, beats, reference_waves(beats, ["P1"]), wave=wave, leads=leads)


def answers(heights=(-0.3, -0.1, 0.3), *, is_far=False):
    """Return the replacements of a network that reads the T wave and knows the mean of V5."""
    ecg, beats = ecg_of(heights)
    _, reference_beats = ecg_of([0.3])

    def features(signals):
        return signals[:, :, [V5]].mean(axis=1) * (1000 if is_far else 1)

    training = pd.DataFrame({"record_id": list("abcde"), "patient_id": list("ABCDE"), "y_true": 0})
    known = features(ecg_of([-0.4, -0.15, 0.0, 0.15, 0.4])[0]) / (1000 if is_far else 1)
    network = FoldNetwork(
        reads_t_wave,
        features,
        FeatureSpace.of_training(known, training),
        reference_waves(reference_beats, ["P1"]),
    )
    records = pd.DataFrame({"record_id": ["R1", "R2", "R3"], "patient_id": ["X", "X", "Y"]})
    return score_replacements(records, {"ecg": ecg}, beats, network), reads_t_wave({"ecg": ecg})


def test_the_table_over_waves_and_leads_points_to_what_the_network_reads():
    found, logits = answers()
    assert len(found) == 3 * len(REPLACEABLE) * len(LEAD_GROUPS)
    table = change_table(found, settings=AssociationSettings(200)).set_index(["wave", "leads"])
    target = reads_t_wave({"ecg": ecg_of([0.3])[0]})[0]
    expected = np.mean([np.mean(target - logits[:2]), target - logits[2]])  # patients, not records
    row = table.loc[("T", "V4 to V6")]
    assert row["change_logit"] == pytest.approx(expected, rel=0.03)
    assert row["size_logit"] == pytest.approx(expected, rel=0.03)
    assert row["n_patients"] == 2
    assert table.loc[("T", "V1 to V3"), "size_logit"] == pytest.approx(0, abs=1e-6)
    assert table.loc[("QRS", "all leads"), "size_logit"] == pytest.approx(0, abs=1e-6)
    assert not found["is_outside_training_range"].any()


def test_an_ecg_unlike_the_training_ecgs_is_flagged_in_table_and_sentence():
    found, _ = answers(is_far=True)
    assert found["is_outside_training_range"].all()
    row = found[(found["wave"] == "T") & (found["leads"] == "V4 to V6")].iloc[0]
    assert describe_change(row).endswith("unlike the training ECGs: do not rely on the figure.")


def test_the_sentence_speaks_of_the_network():
    row = pd.Series(
        {
            "record_id": "R00012", "wave": "T", "leads": "V4 to V6", "risk": 0.31,
            "risk_after": 0.12, "is_replaced": True, "is_outside_training_range": False,
        }
    )  # fmt: skip
    assert describe_change(row) == (
        "R00012: with the mean T wave of training patients without the event in V4 to V6, the "
        "network's risk would be 0.12 instead of 0.31. This is a statement about the network, not "
        "about the disease."
    )
    row["is_replaced"] = False
    assert describe_change(row) == "R00012: the T wave could not be replaced, it was not found."


def test_the_figure_hatches_what_lies_outside():
    for is_far in (False, True):
        table = change_table(answers(is_far=is_far)[0], settings=AssociationSettings(50))
        figure, ax = plt.subplots()
        plot_replacements(table, ax=ax)
        assert bool(ax.patches) is is_far
        plt.close(figure)
