"""One interface: every method, on networks of one and two inputs, in memory and to a file."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from explainability.methods import METHODS, MethodSettings, attribute
from explainability.scores import LogitScore

LAYER = "conv2_block3_out"
RATE_HZ = 100.0
# DeepExplainer starts a process: test_shap_maps
QUICK = [name for name in METHODS if name != "shap_deep"]
COMPLETE = ("integrated_gradients", "shap_gradient")
NEEDS_GRADIENT = [name for name in QUICK if not name.startswith("occlusion")]
# Keras 3.15 writes HDF5 files with h5py through a NumPy interface that NumPy 2 is retiring.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def waves(n_records, n_samples=64):
    position = np.arange(n_samples) % 16
    found = {"QRS": position < 4, "T": (position >= 8) & (position < 13)}
    return {name: np.repeat(mask[None], n_records, axis=0) for name, mask in found.items()}


def settings_for(inputs, **options):
    complete = {name: np.nan_to_num(values[:2]) for name, values in inputs.items()}
    given = {
        "layer_name": LAYER,
        "n_steps": 24,
        "n_draws": 3,
        "windows": waves(*inputs["ecg"].shape[:2]),
        "background": complete,
        "is_strict": False,
        "batch_size": 2,
    }
    return MethodSettings(RATE_HZ, **{**given, **options})


def complete_inputs(make_inputs, n_records, n_covariates):
    """SHAP needs every covariate of a network without a scaling layer for them."""
    given = make_inputs(n_records, n_covariates)
    return {name: np.nan_to_num(values, nan=0.7) for name, values in given.items()}


@pytest.mark.parametrize("n_covariates", [0, 2])
@pytest.mark.parametrize("method", QUICK)
def test_every_method_states_axes_resolution_and_unit(
    build_network, make_inputs, method, n_covariates
):
    inputs = complete_inputs(make_inputs, 3, n_covariates)
    found = attribute(
        build_network(n_covariates), inputs, method=method, settings=settings_for(inputs)
    )
    shape = inputs["ecg"].shape
    assert found.axes == ("record", "sample", "lead")[: found.maps.ndim]
    assert found.maps.shape == shape[: len(found.axes)]
    assert found.maps.dtype == np.float32
    assert found.has_lead_axis is (method[:8] != "grad_cam" and method != "occlusion_by_wave")
    assert ("no lead axis" in found.resolution) is not found.has_lead_axis
    assert np.abs(found.maps).sum() > 0
    assert found.unit
    expected = {"grad_cam": 0.04, "grad_cam_plus_plus": 0.04}
    expected |= dict.fromkeys(("occlusion_by_lead", "occlusion_by_wave"), 0.64)
    assert found.resolution_seconds == pytest.approx(expected.get(method, 0.01))
    assert (found.completeness is not None) == (method in COMPLETE)
    assert (found.covariates is not None) == (method == "shap_gradient" and n_covariates > 0)


@pytest.mark.parametrize("state", ["reloaded", "mixed_bfloat16"])
def test_every_method_explains_reloaded_and_mixed_precision_networks(
    build_network, make_inputs, stored_again, state
):
    model, inputs = build_network(2), complete_inputs(make_inputs, 2, 2)
    other = stored_again(model, state)
    settings = settings_for(inputs, n_steps=4, groups={"limb": range(6), "chest": range(6, 12)})
    closeness = 0.999999 if state == "reloaded" else 0.98  # bfloat16 has eight bits of mantissa
    for method in QUICK:
        ours, theirs = (
            attribute(one, inputs, method=method, settings=settings).maps for one in (model, other)
        )
        assert ours.dtype == theirs.dtype == np.float32
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > closeness, method


# --- axioms -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def linear_pair():
    """Return two networks of the same linear function, their weights, and records."""
    rng = np.random.default_rng(3)
    weights = rng.normal(size=240).astype(np.float32)

    def build(n_hidden):
        ecg = keras.Input((20, 12), name="ecg")
        x = keras.layers.Flatten()(ecg)
        if n_hidden:
            x = keras.layers.Dense(n_hidden, use_bias=False, name="hidden")(x)
        logit = keras.layers.Dense(1, name="logit")(x)
        return keras.Model(ecg, keras.layers.Activation("sigmoid", name="risk")(logit))

    one, two = build(0), build(2)
    one.get_layer("logit").set_weights([weights[:, None], np.float32([0.7])])
    two.get_layer("hidden").set_weights([np.stack([weights, -weights], axis=1)])
    two.get_layer("logit").set_weights([np.float32([[0.25], [-0.75]]), np.float32([0.7])])
    ecg = rng.normal(size=(3, 20, 12)).astype(np.float32)
    return one, two, weights.reshape(20, 12), ecg


def test_every_method_is_exact_on_a_linear_network(linear_pair):
    model, _, weights, ecg = linear_pair
    start = ecg[:1] * 0.5
    options = {"background": {"ecg": start}, "windows": {"T": np.arange(20)[None] % 7 >= 5}}
    options["windows"] = {"T": np.repeat(options["windows"]["T"], 3, axis=0)}
    settings = MethodSettings(RATE_HZ, n_steps=2, n_draws=4, **options)

    def found(method):
        return attribute(model, ecg, method=method, settings=settings)

    close = {"rtol": 1e-3, "atol": 1e-5}
    contributions = ecg * weights
    np.testing.assert_allclose(found("integrated_gradients").maps, contributions, **close)
    np.testing.assert_allclose(found("gradient_x_input").maps, contributions, **close)
    np.testing.assert_allclose(
        found("smooth_grad").maps, np.broadcast_to(weights, ecg.shape), **close
    )
    # one background record: each of SHAP's random points gives the same
    shap = found("shap_gradient")
    np.testing.assert_allclose(shap.maps, (ecg - start) * weights, **close)
    assert shap.completeness["is_complete"].all()
    leads = found("occlusion_by_lead")
    np.testing.assert_allclose(leads.table, contributions.sum(axis=1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(leads.maps.sum(axis=1), leads.table, rtol=1e-3, atol=1e-4)
    wave = found("occlusion_by_wave")
    flattened = ecg.copy()
    for first, last in ((5, 6), (12, 13), (19, 19)):
        after = last + 1 if last + 1 < 20 else first - 1
        for sample in range(first, last + 1):
            share = (sample - first + 1) / (last - first + 2)
            flattened[:, sample] = (1 - share) * ecg[:, first - 1] + share * ecg[:, after]
    fall = ((ecg - flattened) * weights).sum(axis=(1, 2))
    np.testing.assert_allclose(wave.table["T"], fall, rtol=1e-3, atol=1e-4)
    assert not wave.maps[:, :5].any()


def test_networks_of_the_same_function_get_the_same_integrated_gradients(linear_pair):
    one, two, _, ecg = linear_pair
    settings = MethodSettings(RATE_HZ, n_steps=2)
    maps = [attribute(net, ecg, method=COMPLETE[0], settings=settings).maps for net in (one, two)]
    np.testing.assert_allclose(*maps, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_x_input", "shap_gradient"])
def test_maps_are_zero_at_the_baseline(build_network, make_inputs, method):
    ecg = {"ecg": np.zeros_like(make_inputs(2)["ecg"])}
    settings = MethodSettings(RATE_HZ, n_steps=2, n_draws=2, background=ecg)
    found = attribute(build_network(), ecg, method=method, settings=settings)
    assert not found.maps.any()


@pytest.mark.parametrize("method", [name for name in QUICK if METHODS[name].has_lead_axis])
def test_a_lead_without_effect_gets_nothing(build_network, make_inputs, method):
    model, inputs = build_network(), make_inputs(2)
    kernel = model.get_layer("conv1_conv").get_weights()[0]
    kernel[:, 4] = 0
    model.get_layer("conv1_conv").set_weights([kernel])
    found = attribute(model, inputs, method=method, settings=settings_for(inputs, n_steps=4)).maps
    assert not found[:, :, 4].any()
    assert (np.abs(np.delete(found, 4, axis=2)).sum(axis=1) > 0).all()


def test_a_covariate_without_effect_gets_nothing_and_shap_sums_up(build_network, make_inputs):
    model, inputs = build_network(2), complete_inputs(make_inputs, 2, 2)
    kernel, bias = model.get_layer("logit").get_weights()
    kernel[-1] = 0
    model.get_layer("logit").set_weights([kernel, bias])
    baseline = {"covariates": np.zeros(2)}
    background = {"ecg": 0 * inputs["ecg"][:1], "covariates": np.zeros((1, 2))}
    settings = settings_for(inputs, n_draws=400, baseline=baseline, background=background)
    paths = attribute(model, inputs, method="integrated_gradients", settings=settings)
    shap = attribute(model, inputs, method="shap_gradient", settings=settings)
    for found in (paths, shap):
        assert not found.covariates[:, 1].any()
        assert found.covariates[:, 0].all()
        assert found.completeness["completeness_error"].max() < 0.1
    # the same path from one background record, at random points instead of chosen ones
    assert np.corrcoef(paths.maps.ravel(), shap.maps.ravel())[0, 1] > 0.99


def test_lower_risk_is_the_negative_of_higher_risk(build_network, make_inputs):
    model, inputs = build_network(), make_inputs(2)
    down = LogitScore(toward="lower risk")
    for method in ("integrated_gradients", "smooth_grad", "occlusion_by_wave", "shap_gradient"):
        settings = settings_for(inputs, n_steps=4)
        up = attribute(model, inputs, method=method, settings=settings).maps
        turned = attribute(model, inputs, method=method, settings=settings, score=down).maps
        np.testing.assert_allclose(up, -turned, atol=1e-6)


def test_noise_of_smooth_grad_depends_on_seed_and_record_only(build_network, make_inputs):
    model, inputs = build_network(is_head_linear=False), make_inputs(3)

    def smooth(n_draws=4, noise_share=0.3, **options):
        settings = MethodSettings(RATE_HZ, n_draws=n_draws, noise_share=noise_share, **options)
        return attribute(model, inputs, method="smooth_grad", settings=settings).maps

    whole = smooth(batch_size=3)
    np.testing.assert_allclose(whole, smooth(batch_size=2), atol=1e-6)
    assert np.abs(whole - smooth(seed=1)).max() > 1e-4
    times_input = attribute(
        model, inputs, method="gradient_x_input", settings=MethodSettings(RATE_HZ)
    ).maps
    without = smooth(n_draws=1, noise_share=0.0)
    np.testing.assert_allclose(without * inputs["ecg"], times_input, atol=1e-6)


# --- files --------------------------------------------------------------------------------------


def test_maps_stream_to_a_file_that_appears_whole(build_network, make_inputs, tmp_path):
    model, inputs = build_network(), make_inputs(5)
    np.save(tmp_path / "ecg.npy", inputs["ecg"])
    mapped = np.load(tmp_path / "ecg.npy", mmap_mode="r")
    settings = settings_for(inputs, n_steps=4)
    for method in ("grad_cam", "integrated_gradients"):
        path = tmp_path / "maps" / f"{method}.npy"
        found = attribute(model, mapped, method=method, settings=settings, out=path)
        assert isinstance(found.maps, np.memmap)
        expected = attribute(model, inputs, method=method, settings=settings).maps
        np.testing.assert_allclose(np.load(path), expected, atol=1e-6)
        assert [one.name for one in path.parent.iterdir()] == [path.name]
        path.unlink()


def test_what_stops_half_way_leaves_no_file(build_network, make_inputs, tmp_path):
    inputs = make_inputs(5)
    inputs["ecg"][4, 3, 2] = np.nan
    with pytest.raises(ValueError, match="must be finite, got NaN or infinity in row 4"):
        attribute(
            build_network(),
            inputs,
            method="gradient_x_input",
            settings=settings_for(inputs),
            out=tmp_path / "maps.npy",
        )
    assert not list(tmp_path.iterdir())


# --- refusals -----------------------------------------------------------------------------------

ECG = np.ones((2, 64, 12), np.float32)
BAD = {
    "method": (
        {},
        "lime",
        ValueError,
        f"method must be one of {', '.join(METHODS)}, got 'lime'. Choose one.",
    ),
    "no windows": (
        {},
        "occlusion_by_wave",
        ValueError,
        "windows must name a mask for each wave, got none. Delineate the beats first.",
    ),
    "window": (
        {"windows": {"T": np.zeros((2, 63), bool)}},
        "occlusion_by_wave",
        ValueError,
        "windows['T'] must be a mask of True and False of shape (2, 64), got bool (2, 63). "
        "Make one a record and sample.",
    ),
    "background": (
        {},
        "shap_gradient",
        ValueError,
        "background must hold inputs of training patients, got None. Give 20 to 100 records.",
    ),
    "draws": (
        {"n_draws": 0},
        "smooth_grad",
        ValueError,
        "n_draws must be at least 1, got 0. Use 25 to 100.",
    ),
    "noise": (
        {"noise_share": -1},
        "smooth_grad",
        ValueError,
        "noise_share must be 0 or more, got -1. Use 0.1.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_attribute_refuses(build_network, case):
    options, method, kind, message = BAD[case]
    settings = MethodSettings(RATE_HZ, layer_name=LAYER, **options)
    with pytest.raises(kind) as refusal:
        attribute(build_network(), ECG, method=method, settings=settings)
    assert str(refusal.value) == message


def test_a_rate_of_nothing_and_incomplete_maps_are_refused(build_network, make_inputs):
    with pytest.raises(ValueError, match=r"^rate_hz must be positive, got 0. Read it from"):
        MethodSettings(0)
    loud = {"ecg": 30 * make_inputs(2)["ecg"]}
    settings = MethodSettings(RATE_HZ, n_steps=2, relative_tolerance=1e-7)
    with pytest.raises(ArithmeticError, match=r"^values of integrated_gradients must sum to the"):
        attribute(
            build_network(is_head_linear=False),
            loud,
            method="integrated_gradients",
            settings=settings,
        )


def test_shap_refuses_a_missing_covariate_nobody_replaces(build_network, make_inputs):
    inputs = make_inputs(2, 2)
    with pytest.raises(ValueError, match=r"^inputs\['covariates'\] must be complete for SHAP, got"):
        attribute(build_network(2), inputs, method="shap_gradient", settings=settings_for(inputs))
