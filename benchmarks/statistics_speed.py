"""Bootstrap and DeLong intervals of the AUROC, against the plain scikit-learn loop and MLstatkit.

    pip install -e '.[benchmarks]'
    python benchmarks/statistics_speed.py

Ten thousand patient resamples of ten thousand patients (each patient's ECGs are averaged before,
so a row is a patient), and DeLong's test at a million rows. A loop that would take minutes is
timed on fewer resamples and scaled, which its lines say. All take turns on one thread; medians of
wall time, and of the processor time of the process, which neighbours disturb less. Peak memory
is that of arrays, as tracemalloc sees it. Before anything is timed the results are held equal.
(A script named statistics.py would hide Python's module of that name from its neighbours.)
"""

from __future__ import annotations

import argparse
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
from MLstatkit import Bootstrapping, Delong_test
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from tqdm.auto import tqdm

from evaluation.comparison import paired_delong
from evaluation.discrimination import delong_covariance
from evaluation.resampling import BootstrapPlan, bootstrap_draws, resample_weights
from evaluation.weighted import auroc_statistic


def cohort(n_patients: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes (17 % events) and two correlated scores, shape (n_patients, 2)."""
    rng = np.random.default_rng(seed)
    y_true = (rng.random(n_patients) < 0.17).astype(np.int8)
    shared, own = rng.normal(size=(n_patients, 1)), rng.normal(size=(n_patients, 2))
    return y_true, shared + own + y_true[:, None]


def our_bootstrap(y_true, y_score, n_resamples: int) -> np.ndarray:
    """Return bootstrap AUROCs, patients drawn within outcome."""
    plan = BootstrapPlan(n_resamples=n_resamples)
    statistic = auroc_statistic(y_true, y_score)
    return bootstrap_draws(statistic, np.arange(y_true.size), plan=plan, strata=y_true)


def loop_bootstrap(y_true, y_score, n_resamples: int) -> np.ndarray:
    """Return the same from scikit-learn, a resample at a time."""
    rng = np.random.default_rng(0)
    groups = [np.flatnonzero(y_true == label) for label in (0, 1)]
    values = []
    for _ in range(n_resamples):
        rows = np.concatenate([rng.choice(group, group.size) for group in groups])
        values.append(roc_auc_score(y_true[rows], y_score[rows]))
    return np.array(values)


def check_equal(y_true, y_score) -> None:
    """Stop unless our AUROCs of resamples are scikit-learn's, and our DeLong's z is MLstatkit's."""
    weights = resample_weights(y_true, n_resamples=5, rng=np.random.default_rng(1))
    ours = auroc_statistic(y_true, y_score[:, 0])(weights)
    theirs = [
        roc_auc_score(np.repeat(y_true, row), np.repeat(y_score[:, 0], row)) for row in weights
    ]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    z, p_value = Delong_test(y_true, *y_score.T, return_ci=False, return_auc=False)
    auc, covariance = delong_covariance(y_true, y_score)
    ours_z = (auc[0] - auc[1]) / np.sqrt(np.array([1, -1]) @ covariance @ np.array([1, -1]))
    np.testing.assert_allclose((ours_z, 2 * norm.sf(abs(ours_z))), (-z, p_value))


def in_turns(works: dict[str, Callable[[], object]], n_repeats: int) -> dict[str, tuple]:
    """Return median wall and processor seconds of each work, and its peak MB."""
    taken: dict[str, list] = {name: [] for name in works}
    for _ in tqdm(range(n_repeats), desc="repeats"):
        for name, work in works.items():
            begin, begin_cpu = time.perf_counter(), time.process_time()
            work()
            taken[name].append((time.perf_counter() - begin, time.process_time() - begin_cpu))
    result = {}
    for name, work in works.items():
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        result[name] = (*(median(column) for column in zip(*taken[name], strict=True)), peak)
    return result


def report(what: str, found: dict[str, tuple], scale: dict[str, float]) -> None:
    """Print one line a figure; scale says how many times more work the full job is."""
    ours = found["ours"]
    for name, (wall, processor, peak) in found.items():
        factor = scale.get(name, 1.0)
        note = f" (scaled from a part, times {factor:g})" if factor != 1 else ""
        print(f"{what} {name}: {wall * factor:.3g} s{note}, peak {peak:.0f} MB")
        print(f"figure {what}_{name} {wall * factor:.3g} s")
        if name != "ours":
            print(f"figure ratio_{what}_vs_{name} {wall * factor / ours[0]:.1f}")
            cpu = processor * factor / ours[1]
            print(f"figure ratio_{what}_processor_time_vs_{name} {cpu:.1f}")
            print(f"figure ratio_{what}_memory_vs_{name} {peak / ours[2]:.2f}")


def main() -> None:
    """Print one line a figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n-patients", type=int, default=10_000)
    parser.add_argument("--n-resamples", type=int, default=10_000)
    parser.add_argument("--n-loop", type=int, default=100, help="resamples of the slow loops")
    parser.add_argument("--n-rows", type=int, default=1_000_000, help="of DeLong")
    parser.add_argument("--n-repeats", type=int, default=5)
    options = parser.parse_args()
    y_true, y_score = cohort(options.n_patients)
    check_equal(y_true, y_score)
    loop = partial(loop_bootstrap, y_true, y_score[:, 0], options.n_loop)
    library = partial(Bootstrapping, y_true, y_score[:, 0], "roc_auc", options.n_loop)
    works = {
        "ours": partial(our_bootstrap, y_true, y_score[:, 0], options.n_resamples),
        "scikit_learn_loop": loop,
        "mlstatkit": library,
    }
    factor = options.n_resamples / options.n_loop
    found = in_turns(works, options.n_repeats)
    report("bootstrap_auroc", found, {"scikit_learn_loop": factor, "mlstatkit": factor})
    y_true, y_score = cohort(options.n_rows)
    peer = partial(Delong_test, y_true, *y_score.T, return_ci=False, return_auc=False)
    works = {"ours": partial(paired_delong, y_true, *y_score.T), "mlstatkit": peer}
    report("delong", in_turns(works, options.n_repeats), {})


if __name__ == "__main__":
    main()
