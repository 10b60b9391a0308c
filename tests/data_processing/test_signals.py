"""The signal contract: what is converted, what is derived, what is refused and why."""

from dataclasses import replace

import numpy as np
import pytest

from data_processing.chain import FILTERS
from data_processing.signals import LEADS, ECGError, SignalChain, to_contract

EIGHT = [LEADS[k] for k in (0, 1, 6, 7, 8, 9, 10, 11)]


def contract(signal, names=LEADS, unit="mV", rate_hz=500, **others):
    return to_contract(
        signal, lead_names=names, unit=unit, rate_hz=rate_hz, source_format="array", **others
    )


def test_a_good_ecg_comes_back_as_float32_with_checked_leads(make_ecg):
    signal = make_ecg(0)
    ecg = contract(signal)
    assert ecg.signal_mv.dtype == np.float32
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=1e-6)
    assert ecg.proof == {"unit": "checked", "scale": "declared", "leads": "checked"}


UNITS = [("uV", 1e3), ("µV", 1e3), ("[uV]", 1e3), ("V", 1e-3), ("MV", 1.0)]
UNITS += [("1e-4 V", 10.0), ("0.1 mV", 10.0)]


@pytest.mark.parametrize(("unit", "per_mv"), UNITS)
def test_units_become_millivolts(make_ecg, unit, per_mv):
    signal = make_ecg(1)
    np.testing.assert_allclose(contract(signal * per_mv, unit=unit).signal_mv, signal, atol=1e-5)


def test_leads_are_ordered_whatever_their_spelling(make_ecg):
    signal = make_ecg(2)
    order = np.random.default_rng(0).permutation(12)
    spelt = ["i", "Lead II", "III ", "AVR", "avl", "aVF", "v1", "C2", "V_3", "v4", "V5", "c6"]
    ecg = contract(signal[:, order], names=[spelt[k] for k in order])
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=1e-6)


def test_eight_stored_leads_give_twelve_by_the_textbook_formulas(make_ecg):
    signal = make_ecg(3)
    ecg = contract(signal[:, [LEADS.index(lead) for lead in EIGHT]], names=EIGHT)
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=1e-6)
    assert ecg.proof["leads"] == "derived"
    limb = ecg.signal_mv[:, 3:6].sum(axis=1)
    np.testing.assert_allclose(limb, 0, atol=1e-5)  # aVR + aVL + aVF = 0 (Goldberger)


def swapped(signal, a, b):
    signal = signal.copy()
    signal[:, [LEADS.index(a), LEADS.index(b)]] = signal[:, [LEADS.index(b), LEADS.index(a)]]
    return signal


@pytest.mark.parametrize("pair", [("aVL", "aVF"), ("I", "II"), ("III", "aVR"), ("II", "III")])
def test_exchanged_limb_leads_are_suspected_and_not_changed(make_ecg, pair):
    signal = swapped(make_ecg(4), *pair)
    ecg = contract(signal)
    assert ecg.suspicions == (f"{pair[0]} and {pair[1]} look exchanged in the file",)
    assert ecg.proof["leads"] == "declared"
    assert "limb leads disagree by" in ecg.notes[0]
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=1e-6)


def test_an_inverted_limb_lead_is_suspected(make_ecg):
    signal = make_ecg(5)
    signal[:, 5] *= -1
    assert contract(signal).suspicions == ("aVF looks inverted in the file",)


@pytest.mark.parametrize("lead", ["I", "II", "III", "aVR", "aVF"])
@pytest.mark.parametrize("factor", [2.5, 0.25])
def test_one_limb_lead_of_another_gain_is_suspected_by_name(make_ecg, lead, factor):
    signal = make_ecg(5, noise_mv=0.002)
    signal[:, LEADS.index(lead)] *= factor
    assert contract(signal).suspicions == (
        f"{lead} looks {factor:.2f} times too large in the file",
    )


def test_empty_limb_leads_prove_nothing(make_ecg):
    signal = make_ecg(5)
    signal[:, :6] = 0
    ecg = contract(signal)
    assert ecg.proof["leads"] == "declared"
    assert "limb leads are empty or nearly so" in ecg.suspicions


@pytest.mark.parametrize("lead", ["II", "III"])
def test_a_flat_limb_lead_is_named(make_ecg, lead):
    signal = of_usual_size(make_ecg(5))
    signal[:, LEADS.index(lead)] = 0
    with pytest.raises(ECGError, match=f"Lead {lead} is flat"):
        contract(signal)


def test_leads_in_another_unit_than_the_others_are_refused_or_suspected(make_ecg):
    signal = of_usual_size(make_ecg(5))
    large, small, twin = signal.copy(), signal.copy(), signal.copy()
    large[:, 8] *= 1000
    small[:, 6:8] /= 1000
    twin[:, 8] = twin[:, 7]
    with pytest.raises(ECGError, match="every lead must be below 50 mV, got more in V3"):
        contract(large)
    expected = "V1, V2 far smaller than the other leads: another unit or gain?"
    assert expected in contract(small).suspicions
    assert "V2 and V3 are identical" in contract(twin).suspicions


def test_limb_leads_with_a_gain_each_are_refused_with_the_cause(make_ecg):
    signal = make_ecg(5, noise_mv=0)
    signal[:, :6] *= [1.0, 0.3, 1.2, 2.0, 0.9, 3.0]
    with pytest.raises(ECGError, match=r"They fit when each is scaled by another factor: the gai"):
        contract(signal)


def test_limb_leads_that_nothing_explains_are_refused(make_ecg):
    signal = make_ecg(5)
    signal[:, 5] = make_ecg(77)[:, 5]
    with pytest.raises(ECGError, match=r"got aVF .* No exchange of two leads explains it"):
        contract(signal)


def test_limb_leads_that_fit_only_roughly_are_declared_and_noted(make_ecg):
    signal = make_ecg(6)
    signal[:, 2] += 0.04 * np.sin(np.arange(len(signal)) / 50)
    ecg = contract(signal)
    assert ecg.proof["leads"] == "declared"
    assert ecg.notes == ("limb leads disagree by 0.03 mV (III)",)


def test_coarse_quantisation_is_no_violation(make_ecg):
    step = 0.02
    signal = np.rint(make_ecg(7) / step) * step
    assert contract(signal, step=step).proof["leads"] == "checked"


def test_short_gaps_are_filled_and_noted_long_ones_refused(make_ecg):
    signal = make_ecg(8)
    signal[1000:1040, 7] = np.nan
    ecg = contract(signal)
    assert np.isfinite(ecg.signal_mv).all()
    assert ecg.notes == ("1 short gaps filled",)
    signal[1000:1060, 7] = np.nan
    with pytest.raises(ECGError, match=r"lead V2 must have no gap longer than 0.1 s.*0.12 s"):
        contract(signal)
    signal[:, 7] = np.nan
    with pytest.raises(ECGError, match=r"got a gap of 10.00 s and 100.0% missing"):
        contract(signal)


@pytest.mark.parametrize(
    ("factor", "message"),
    [
        (1000, "look like .*microvolts or ADC counts at 1000 a mV, not what the file says"),
        (200, "look like ADC counts at 200 a mV, not what the file says"),
        (12, "look like units of 0.1 mV, not what the file says"),
        (1e-3, "in another unit than the file says"),
    ],
)
def test_a_scale_that_cannot_be_millivolts_is_refused(make_ecg, factor, message):
    with pytest.raises(ECGError, match=message):
        contract(of_usual_size(make_ecg(9)) * factor)


def of_usual_size(signal):
    """Return an ECG scaled so that its typical deflection is 0.7 mV."""
    distance = np.abs(signal - np.median(signal, axis=0))
    return signal * 0.7 / np.median(np.percentile(distance, 99, axis=0))


def test_an_amplitude_that_no_public_ecg_has_is_suspected(make_ecg):
    signal = of_usual_size(make_ecg(9))
    assert not any("amplitude" in text for text in contract(signal).suspicions)
    suspicion = contract(signal * 6).suspicions[0]
    assert suspicion.endswith("it may be in units of 0.1 mV")


@pytest.fixture
def with_pulse(make_ecg):
    """Return a maker of ECGs with a calibration pulse at one end."""

    def make(end, *, height_mv=1.0, seconds=0.2, leads=LEADS):
        signal = make_ecg(12) + 0.3
        part = np.tile(signal[:1], (150, 1)) * 0 + 0.3
        part[20 : 20 + round(seconds * 500)] += height_mv
        return np.concatenate([part, signal] if end == "start" else [signal, part])

    return make


@pytest.mark.parametrize("end", ["start", "end"])
@pytest.mark.parametrize("height_mv", [1.0, 0.5])
def test_a_calibration_pulse_is_cut_off(with_pulse, make_ecg, end, height_mv):
    ecg = contract(with_pulse(end, height_mv=height_mv))
    assert ecg.notes[0].startswith("calibration pulse cut off")
    assert ecg.notes[0].endswith(f"at the {end})")
    assert ecg.proof["leads"] == "checked"
    assert 5000 <= len(ecg.signal_mv) < 5020
    inner = ecg.signal_mv[-5000:] if end == "start" else ecg.signal_mv[:5000]
    np.testing.assert_allclose(inner, make_ecg(12) + 0.3, atol=1e-5)


def test_pulses_in_strips_at_both_ends_are_cut_off(make_ecg):
    signal = make_ecg(12) + np.linspace(-0.4, 0.9, 12)  # offsets that differ
    strip = np.zeros((500, 12))
    strip[150:250] = 1.0
    ecg = contract(np.concatenate([strip, signal, strip]))
    assert ecg.notes == ("calibration pulse cut off (1.00 s at the start and 1.00 s at the end)",)
    np.testing.assert_allclose(ecg.signal_mv, signal, atol=1e-5)


@pytest.mark.parametrize("change", [{"seconds": 0.02}, {"height_mv": 0.1}])
def test_what_is_no_calibration_pulse_stays(with_pulse, change):
    signal = with_pulse("start", **change)
    assert len(contract(signal).signal_mv) == len(signal)


def test_an_empty_signal_never_becomes_zeros():
    with pytest.raises(ECGError, match="The signal is empty"):
        contract(np.zeros((5000, 12)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"unit": "counts"},
            "unit must be V, mV, uV, nV or 0.1 mV, got another unit. Export the ECG in",
        ),
        ({"rate_hz": 0}, "rate_hz must be between 50 and 10000 Hz, got 0."),
        ({"rate_hz": "500"}, "rate_hz must be a number, got str."),
        ({"rate_hz": float("nan")}, "rate_hz must be between 50 and 10000 Hz, got nan."),
        ({"names": ["I", "MLII", *LEADS[2:]]}, "missing: II (other channels: 1). Export all"),
        ({"names": ["I", "i", *LEADS[2:]]}, "leads must be named once each, got I twice."),
        ({"names": [*LEADS[:6], *["x"] * 6]}, "missing: V1, V2, V3, V4, V5, V6"),
        ({"names": LEADS[:5]}, "one column for each of the 5 lead names, got shape (5000, 12)"),
    ],
)
def test_refusals_say_what_is_wrong(make_ecg, changes, message):
    with pytest.raises(ECGError) as refusal:
        contract(make_ecg(10), **changes)
    assert message in str(refusal.value)


@pytest.mark.parametrize("rate_hz", [100, 240, 250, 257, 400, 500, 512, 1000])
def test_the_chain_gives_the_same_ecg_from_any_rate(make_ecg, rate_hz):
    chain = SignalChain(high_cut_hz=30)
    reference = chain.apply(make_ecg(11, rate_hz=1000, noise_mv=0), 1000)
    prepared = chain.apply(make_ecg(11, rate_hz=rate_hz, noise_mv=0), rate_hz)
    assert prepared.shape == (1000, 12)
    inner = slice(100, 900)
    error = np.abs(prepared[inner] - reference[inner]).max()
    assert error < 0.05 * np.abs(reference).max()


def test_the_filter_halves_the_amplitude_at_its_corners_without_delay():
    time = np.arange(20_000) / 500
    for frequency, expected in ((0.5, 0.5), (40.0, 0.5), (10.0, 1.0)):
        wave = np.tile(np.sin(2 * np.pi * frequency * time)[:, None], 12)
        chain = SignalChain(rate_hz=500, duration_seconds=40)
        prepared = chain.apply(wave, 500)[5000:15_000, 0]
        gain = prepared @ wave[5000:15_000, 0] / (wave[5000:15_000, 0] ** 2).sum()
        assert gain == pytest.approx(expected, abs=0.03)


def test_a_recording_that_ends_in_a_qrs_complex_keeps_its_baseline():
    seconds = np.arange(2000) / 100
    beats = np.exp(-(((seconds % 1.0 - 0.5) / 0.02) ** 2)) * 2.0
    whole = np.repeat(beats[:, None], 12, axis=1)
    chain = SignalChain(duration_seconds=10.0)
    longer = replace(chain, duration_seconds=20.0)
    ends_in_beat = slice(551, 1551)  # from 10 ms after an R peak to 10 ms after another
    found = chain.apply(whole[ends_in_beat], 100)
    error = np.abs(found - longer.apply(whole, 100)[ends_in_beat]).max()
    assert error < 0.25  # mV; the beats are 2 mV, and padding by odd mirroring errs by 1.9 mV


def test_resampling_does_not_alias():
    time = np.arange(5000) / 500
    wave = np.tile(np.sin(2 * np.pi * 80 * time)[:, None], 12)  # would fold to 20 Hz at 100 Hz
    prepared = SignalChain(low_cut_hz=0, high_cut_hz=0).apply(wave, 500)
    assert np.abs(prepared[100:-100]).max() < 0.01


def test_the_centre_is_kept_and_too_short_is_refused_or_padded():
    ramp = np.tile(np.arange(1200, dtype=float)[:, None], 12)
    off = SignalChain(low_cut_hz=0, high_cut_hz=0)
    np.testing.assert_array_equal(off.apply(ramp, 100)[:, 0], np.arange(100, 1100))
    with pytest.raises(ECGError, match=r"ECG must be at least 10 s long, got 9.00 s. Leave it out"):
        off.apply(ramp[:900], 100)
    padded = SignalChain(low_cut_hz=0, high_cut_hz=0, pad_short=True).apply(ramp[1:901], 100)
    np.testing.assert_array_equal(padded[:50], 0)
    np.testing.assert_array_equal(padded[50:950, 0], np.arange(1, 901))


def test_the_chain_survives_json_and_refuses_unknown_keys():
    chain = SignalChain(rate_hz=250, low_cut_hz=0)
    assert SignalChain.from_dict(chain.to_dict()) == chain
    with pytest.raises(ValueError, match=r"got median_hz. It was written by a newer version"):
        SignalChain.from_dict({**chain.to_dict(), "median_hz": 50})
    old = {name: value for name, value in chain.to_dict().items() if name != "notch_hz"}
    assert SignalChain.from_dict(old) == chain  # written before there was a notch


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"high_cut_hz": 50}, "high_cut_hz must be 0 (off), or above low_cut_hz and below half"),
        ({"low_cut_hz": -1}, "low_cut_hz must be 0 (off) or more, got -1."),
        ({"duration_seconds": 0}, "duration_seconds must be above 0, got 0."),
        ({"rate_hz": 0}, "rate_hz must be a whole number, got 0."),
        ({"pad_short": "no"}, "pad_short must be True or False, got no."),
        ({"duration_seconds": float("inf")}, "duration_seconds must be above 0, got inf."),
        ({"notch_hz": 55}, "notch_hz must be 0 (off), 50 or 60, got 55."),
    ],
)
def test_a_contradictory_chain_is_an_error(changes, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        SignalChain(**changes)
    assert message in str(error.value)


@pytest.mark.parametrize("notch_hz", [50, 60])
def test_the_notch_takes_the_mains_and_leaves_the_rest(notch_hz):
    time = np.arange(5000) / 500
    chain = SignalChain(rate_hz=500, low_cut_hz=0, high_cut_hz=0, notch_hz=notch_hz)
    for frequency, least, most in ((notch_hz, 0.0, 0.03), (notch_hz - 8, 0.97, 1.0), (5, 0.99, 1)):
        wave = np.tile(np.sin(2 * np.pi * frequency * time)[:, None], 12)
        left = chain.apply(wave, 500)[1000:4000].std() / wave[1000:4000].std()
        assert least <= left <= most + 1e-6, frequency
    with pytest.raises(ECGError, match=r"rate_hz must be above twice notch_hz"):
        SignalChain(low_cut_hz=0, high_cut_hz=0, notch_hz=notch_hz).apply(wave, 100)


def test_the_diagnostic_filter_keeps_the_st_segment(make_ecg):
    low, high = FILTERS["diagnostic"]
    chain = SignalChain(rate_hz=500, low_cut_hz=low, high_cut_hz=high)
    signal = make_ecg(13, noise_mv=0)
    difference = chain.apply(signal, 500) - signal
    assert (difference - difference.mean(axis=0)).std() < 0.03 * signal.std()
    standard = SignalChain(rate_hz=500)
    difference = standard.apply(signal, 500) - signal
    assert (difference - difference.mean(axis=0)).std() > 0.05 * signal.std()


@pytest.mark.parametrize("n", [899, 900, 1000, 1200])
def test_what_was_padded_is_told(n):
    chain = SignalChain(low_cut_hz=0, high_cut_hz=0, pad_short=True)
    prepared = chain.apply(np.ones((n, 12)), 100)[:, 0]
    start, stop = chain.valid_samples(n, 100)
    expected = np.zeros(1000)
    expected[start:stop] = 1
    np.testing.assert_array_equal(prepared, expected)


def test_a_source_too_slow_for_the_filter_is_refused():
    with pytest.raises(ECGError, match="rate_hz must be above twice high_cut_hz"):
        SignalChain().apply(np.ones((1000, 12)), 60)
