"""Electrodes on the wrong limb: suspected in real ECGs, and seldom where all is well."""

import numpy as np
import pytest

from data_processing.lead_checks import EXCHANGES, suspected_electrodes
from data_processing.leads import LEADS, derive_limb_leads
from data_processing.readers import read_ecg

CHANGED = {name: np.linalg.inv(restore) for name, restore in EXCHANGES.items()}


def with_leads_i_and_ii(signal_mv, i_and_ii):
    """Return the ECG with other leads I and II, and the limb leads that follow from them."""
    signal = signal_mv.copy()
    signal[:, :2] = i_and_ii
    derive_limb_leads(signal, stored=("I", "II"))
    return signal


@pytest.mark.real_data
@pytest.mark.parametrize("name", list(EXCHANGES))
def test_exchanged_electrodes_are_suspected_in_real_ecgs(data_root, name):
    paths = sorted((data_root / "ptbxl_wfdb" / "records100").rglob("*.hea"))[::6]
    found = []
    for path in paths:
        ecg = read_ecg(path)
        signal = with_leads_i_and_ii(ecg.signal_mv, ecg.signal_mv[:, :2] @ CHANGED[name].T)
        found.append(bool(suspected_electrodes(signal, ecg.rate_hz)))
    assert np.mean(found) > 0.85


@pytest.mark.real_data
def test_real_ecgs_are_seldom_suspected(data_root):
    paths = sorted((data_root / "ptbxl_wfdb" / "records100").rglob("*.hea"))[1::3]
    assert len(paths) > 100
    found = [any("electrodes" in text for text in read_ecg(path).suspicions) for path in paths]
    assert np.mean(found) < 0.02


def test_the_exchanges_are_einthovens():
    # right arm, left arm, left leg at 1, 2, 4: I = LA - RA, II = LL - RA
    potentials = {"RA": 1.0, "LA": 2.0, "LL": 4.0}

    def leads(order):
        ra, la, ll = (potentials[name] for name in order)
        return np.array([la - ra, ll - ra])

    true = leads(("RA", "LA", "LL"))
    orders = [("LA", "RA", "LL"), ("LL", "LA", "RA"), ("LA", "LL", "RA"), ("LL", "RA", "LA")]
    for restore, order in zip(EXCHANGES.values(), orders, strict=True):
        np.testing.assert_allclose(restore @ leads(order), true, err_msg=str(order))


@pytest.mark.parametrize(
    ("lead", "words"),
    [("II", "right arm and right leg"), ("III", "left arm and right leg"), ("I", "each arm")],
)
def test_a_flat_limb_lead_names_its_electrodes(make_ecg, lead, words):
    signal = make_ecg(3, noise_mv=0.002)
    one, two = signal[:, 0], signal[:, 1]
    pairs = {"II": (one, 0 * one), "III": (one, one), "I": (0 * two, two)}
    changed = with_leads_i_and_ii(signal, np.stack(pairs[lead], axis=1))
    (text,) = suspected_electrodes(changed, 500)
    assert text.startswith(words)
    assert f"lead {lead} is flat" in text


def test_a_mirrored_heart_is_suspected(make_ecg):
    time = np.arange(5000) / 500
    beat = np.exp(-((((time % 0.8) - 0.4) / 0.015) ** 2))[:, None]
    gains = np.array([-0.8, 0.6, 0, 0, 0, 0, 0.3, 1.2, 1.0, 0.6, 0.4, 0.2])
    gains[9:] *= -1
    signal = beat * gains
    derive_limb_leads(signal, stored=("I", "II"))
    signal[:, 3] = np.abs(signal[:, 3])  # the textbook's upright aVR
    (text,) = suspected_electrodes(signal, 500)
    assert text.startswith("the heart may lie on the right side")


def test_nothing_is_suspected_of_too_few_samples():
    assert suspected_electrodes(np.zeros((3, len(LEADS))), 500) == ()
