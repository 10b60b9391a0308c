"""Maps of many ECGs, against tf-keras-vis and shap called record by record.

    python benchmarks/explain.py
    python benchmarks/explain.py --architecture resnet18 --n-records 128

Random networks and ECGs: time does not depend on what was learnt. Before anything is timed the
results are held equal. All take turns, so that a busy machine slows all alike; medians per record.
The peers' explainers are made once and then called for one record at a time, and each is given
fewer records than we are where it would take minutes. Integrated gradients and shap's
GradientExplainer estimate the same integral (one background record, 0 mV), so both the default of
each and the same number of gradients are compared, with the error of each against 512 points.
Tracing is timed: every turn prepares our method anew. Peak memory is that of a process which does
nothing else, less that of one which only builds the network.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from explainability.methods import MethodSettings, attribute
from explainability.reference import tf_keras_vis_map
from explainability.shap_values import ShapSettings, explain_covariates
from models_training.architectures import build_network
from models_training.settings import ArchitectureSettings

NAMES = ("age", "lvef", "lge")
RATE_HZ = 100.0


class Work:
    """Networks, records, and each method as a function of how many records."""

    def __init__(self, options: argparse.Namespace) -> None:
        settings = ArchitectureSettings(name=options.architecture, width=options.width)
        self.options = options
        shape = {"n_samples": options.n_samples, "settings": settings}
        self.one = build_network(**shape)
        self.two = build_network(covariate_names=NAMES, **shape)
        rng = np.random.default_rng(0)
        self.ecg = rng.normal(0, 0.3, (options.n_records, options.n_samples, 12)).astype("float32")
        self.covariates = rng.normal(size=(options.n_records, len(NAMES))).astype("float32")
        self.background = rng.normal(size=(50, len(NAMES)))
        self.zero = np.zeros_like(self.ecg[:1])
        self.logits = keras.Model(self.one.inputs, self.one.get_layer("logit").output)
        # Blocks start as their shortcut; without shifts the gradient is constant along the path.
        for model in (self.one, self.two):
            for layer in model.layers:
                if layer.name.endswith("_bn"):
                    layer.gamma.assign(0.5 + rng.random(layer.gamma.shape))
                    layer.beta.assign(rng.normal(0, 0.3, layer.beta.shape))

    def ours(self, method: str, n: int, **options) -> np.ndarray:
        """Return our maps."""
        settings = MethodSettings(RATE_HZ, is_strict=False, **options)
        return attribute(self.one, self.ecg[:n], method=method, settings=settings).maps

    def streamed(self, n: int) -> np.ndarray:
        """Write our maps to a file."""
        with tempfile.TemporaryDirectory() as folder:
            settings = MethodSettings(RATE_HZ)
            path = Path(folder) / "maps.npy"
            attribute(self.one, self.ecg[:n], method="grad_cam", settings=settings, out=path)
        return np.zeros(0)

    def tf_keras_vis(self, n: int) -> np.ndarray:
        """Return the maps of tf-keras-vis, one record after another."""
        layer = self.options.layer
        return np.concatenate(
            [tf_keras_vis_map(self.one, ecg[None], layer_name=layer) for ecg in self.ecg[:n]]
        )

    def shap_gradient(self, n: int, n_draws: int) -> np.ndarray:
        """Return the maps of shap.GradientExplainer, one record after another."""
        import shap

        explainer = shap.GradientExplainer(self.logits, self.zero)
        return np.concatenate(
            [explainer.shap_values(ecg[None], nsamples=n_draws, rseed=0) for ecg in self.ecg[:n]]
        )[..., 0]

    def our_covariates(self, n: int) -> np.ndarray:
        """Return our Shapley values of the covariates."""
        names = [f"R{row}" for row in range(n)]
        found = explain_covariates(
            self.two,
            {"ecg": self.ecg[:n], "covariates": self.covariates[:n]},
            pd.DataFrame({"record_id": names, "patient_id": names}),
            settings=ShapSettings(background=self.background, names=NAMES),
        )
        return found["shap_logit"].to_numpy().reshape(n, -1)

    def shap_exact(self, n: int) -> np.ndarray:
        """Return the same of shap.ExactExplainer around the whole network, record by record."""
        import shap

        logits = keras.Model(self.two.inputs, self.two.get_layer("logit").output)
        masker = shap.maskers.Independent(self.background, max_samples=len(self.background))
        found = []
        for ecg, row in zip(self.ecg[:n], self.covariates[:n], strict=True):

            def function(rows: np.ndarray, ecg: np.ndarray = ecg) -> np.ndarray:
                repeated = np.broadcast_to(ecg, (len(rows), *ecg.shape))
                data = {"ecg": repeated, "covariates": rows.astype("float32")}
                return logits.predict(data, batch_size=64, verbose=0)[:, 0]

            explain = shap.ExactExplainer(function, masker)
            found.append(explain(row[None].astype(float), silent=True).values[0])  # noqa: PD011
        return np.array(found)


def works_of(work: Work) -> dict[str, tuple[Callable[[int], np.ndarray], int]]:
    """Return each work and how many records it is given."""
    n, few = work.options.n_records, work.options.n_peer
    return {
        "grad_cam_ours": (lambda n: work.ours("grad_cam", n, layer_name=work.options.layer), n),
        "grad_cam_tf_keras_vis": (work.tf_keras_vis, few),
        "ecg_ours_32": (lambda n: work.ours("integrated_gradients", n, n_steps=32), n // 4),
        "ecg_shap_200": (lambda n: work.shap_gradient(n, 200), few // 4),
        "ecg_shap_32": (lambda n: work.shap_gradient(n, 32), few),
        "covariates_ours": (work.our_covariates, n // 4),
        "covariates_shap": (work.shap_exact, max(few // 8, 1)),
    }


def check_equal(work: Work) -> None:
    """Stop unless results agree; print the errors of the estimates."""
    from explainability.resolution import resize_map, step_centres

    centres = step_centres(work.one, work.options.layer)
    theirs = resize_map(work.tf_keras_vis(3), work.options.n_samples, centres)
    np.testing.assert_allclose(
        work.ours("grad_cam", 3, layer_name=work.options.layer) / theirs.max(),
        theirs / theirs.max(),
        atol=1e-4,
    )
    np.testing.assert_allclose(work.our_covariates(2), work.shap_exact(2), atol=1e-3)
    exact = work.ours("integrated_gradients", 2, n_steps=512)
    for name, found in {
        "ours_32": work.ours("integrated_gradients", 2, n_steps=32),
        "shap_200": work.shap_gradient(2, 200),
        "shap_32": work.shap_gradient(2, 32),
    }.items():
        error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
        print(f"figure ecg_{name}_relative_error {error:.4f}")


def peak_mb(name: str, options: argparse.Namespace) -> float:
    """Return the largest resident size of a process that does one work, in MB."""
    command = [sys.executable, __file__, "--only", name]
    for key in ("architecture", "width", "n_samples", "n_records", "n_peer", "layer"):
        command += [f"--{key.replace('_', '-')}", str(getattr(options, key))]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    return float(done.stdout.split()[-1])


def only(work: Work, name: str) -> None:
    """Do one work and print the largest resident size of this process in MB.

    From Linux's VmHWM: ``ru_maxrss`` of a child begins with the size of its parent.
    """
    works = {"nothing": (lambda n: np.zeros(0), 0), "streamed": (work.streamed, len(work.ecg))}
    function, n = {**works_of(work), **works}[name]
    function(n)
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def main() -> None:
    """Print one line a figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--architecture", default="resnet50")
    parser.add_argument("--width", type=int, default=8, help="8 as in quickstart, 64 as published")
    parser.add_argument("--n-samples", type=int, default=1000)
    parser.add_argument("--layer", default="conv3_block4_out")
    parser.add_argument("--n-records", type=int, default=256)
    parser.add_argument("--n-peer", type=int, default=16, help="records of the peers")
    parser.add_argument("--n-repeats", type=int, default=3)
    parser.add_argument("--is-quick", action="store_true", help="times only, not memory")
    parser.add_argument("--only", help="one work, for its memory")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    work = Work(options)
    if options.only:
        return only(work, options.only)
    check_equal(work)
    works = works_of(work)
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in tqdm(range(options.n_repeats), desc="repeats"):
        for name, (function, n) in works.items():
            begin = time.perf_counter()
            function(n)
            taken[name].append((time.perf_counter() - begin) / n)
    seconds = {name: median(values) for name, values in taken.items()}
    for name in works:
        print(f"figure explain_{name} {seconds[name] * 1e3:.1f} ms_a_record")
    for what, peer in {
        "grad_cam_ours": "grad_cam_tf_keras_vis",
        "ecg_ours_32": "ecg_shap_200",
        "covariates_ours": "covariates_shap",
    }.items():
        print(f"figure ratio_{what}_vs_{peer} {seconds[peer] / seconds[what]:.1f}")
    equal = seconds["ecg_shap_32"] / seconds["ecg_ours_32"]
    print(f"figure ratio_ecg_ours_32_vs_ecg_shap_32 {equal:.1f}", flush=True)
    if options.is_quick:
        return
    base = peak_mb("nothing", options)
    peak = {name: peak_mb(name, options) - base for name in [*works, "streamed"]}
    for name, size in peak.items():
        print(f"figure explain_{name}_peak_memory {size:.0f} MB")


if __name__ == "__main__":
    main()
