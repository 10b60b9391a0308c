"""The small-sample ladder: the same folds by every way of using a network, each kept when done."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from models_training.files import written_aside
from models_training.inputs import TrainingData
from models_training.pretrained import Pretrained
from models_training.rungs import EMBEDDING, RANDOM_KERNELS, RUNGS
from models_training.settings import ArchitectureSettings, TrainingSettings
from models_training.variant_inputs import skipped_variants
from models_training.variants import VariantFit, VariantTraining, fingerprint

CLINICAL = "clinical"
LADDER = (CLINICAL, RANDOM_KERNELS, *RUNGS)
_PREDICTIONS, _COST = "predictions.parquet", "cost.json"


def parse_rungs(text: str) -> list[str]:
    """Return the rungs of ``"random_kernels, embedding"`` in the order of the ladder.

    Raises
    ------
    ValueError
        If a name is unknown, or there is none.
    """
    names = {name.strip() for name in text.split(",") if name.strip()}
    unknown = sorted(names - set(LADDER))
    if unknown or not names:
        raise ValueError(
            f"rungs must be some of {', '.join(LADDER)}, joined by commas, got "
            f"{', '.join(unknown) or 'none'}."
        )
    return [name for name in LADDER if name in names]


def skipped_rungs(rungs: Sequence[str], columns: Sequence[str], pretrained: str) -> dict[str, str]:
    """Return the rungs that cannot be climbed, with the reason.

    Parameters
    ----------
    rungs : sequence of str
        As asked for.
    columns : sequence of str
        Encoded covariates of the cohort.
    pretrained : str
        Name of the encoder; empty for none.
    """
    found = {}
    if CLINICAL in rungs and CLINICAL in skipped_variants(columns):
        found[CLINICAL] = skipped_variants(columns)[CLINICAL]
    if not pretrained:
        needing = [name for name in RUNGS if name != "scratch" and name in rungs]
        found |= dict.fromkeys(needing, "there is no encoder: name one in pretrained.")
    return found


@dataclass(frozen=True)
class Ladder:
    """What all rungs share.

    Parameters
    ----------
    variant : str
        What the networks may see.
    data : TrainingData
        The cohort with all its covariates.
    splits : DataFrame
        ``patient_id, repeat, fold, inner_fold, role``. Ridge regressions and the clinical model
        are fitted in all repeats, networks in the first ``settings.n_network_repeats``.
    settings : TrainingSettings
        Of the networks; rung and, for random kernels, architecture are set for each.
    pretrained : Pretrained, optional
        The encoder, checked.
    directory : Path
        Where the rungs are kept; a finished one is read, not fitted again.
    """

    variant: str
    data: TrainingData
    splits: pd.DataFrame
    settings: TrainingSettings
    pretrained: Pretrained | None
    directory: Path

    def climb(self, rung: str) -> tuple[pd.DataFrame, dict[str, float | str]]:
        """Return the predictions of one rung and its cost.

        Returns
        -------
        predictions : DataFrame
            As of a variant; the column ``variant`` names the rung.
        cost : dict
            ``rung, seconds_a_fit, n_trained, n_fits``: mean time of a fold's fit (features that
            all folds share are spread over them), and the weights that learn.
        """
        folder, mark = self.directory / rung, self._mark(rung)
        if (folder / _COST).exists():
            cost = json.loads((folder / _COST).read_text())
            if cost.pop("mark") == mark:
                return pd.read_parquet(folder / _PREDICTIONS), cost
        begin = time.perf_counter()
        fit = self._training(rung).fit(folder)
        seconds = time.perf_counter() - begin
        predictions = fit.predictions.assign(variant=rung)
        cost = {"rung": rung, **_cost(fit, seconds)}
        with written_aside(folder / _PREDICTIONS) as aside:
            predictions.to_parquet(aside, index=False)
        with written_aside(folder / _COST) as aside:  # last: it says that the rung is done
            aside.write_text(json.dumps({**cost, "mark": mark}))
        return predictions, cost

    def _training(self, rung: str) -> VariantTraining:
        if rung == CLINICAL:
            return VariantTraining(CLINICAL, self.data, self.splits, self.settings)
        settings, start = replace(self.settings, rung=rung), self.pretrained
        if rung == RANDOM_KERNELS:
            theirs = settings.architecture
            network = ArchitectureSettings(
                name=RANDOM_KERNELS,
                n_random_features=theirs.n_random_features,
                normalisation=theirs.normalisation,
            )
            settings, start = replace(settings, rung=EMBEDDING, architecture=network), None
        elif rung == "scratch":
            start = None
        return VariantTraining(self.variant, self.data, self.splits, settings, start)

    def _mark(self, rung: str) -> str:
        encoder = self.pretrained.sha256 if self.pretrained else ""
        return fingerprint(self.data, self.splits, (rung, self.variant, self.settings, encoder))


def _cost(fit: VariantFit, seconds: float) -> dict[str, float]:
    """Return what a rung cost; a network that was stopped in between by its epochs' own times."""
    n_fits = fit.predictions.groupby(["repeat", "fold"]).ngroups
    if "seconds" in fit.history:
        seconds = float(fit.history.groupby(["repeat", "fold"])["seconds"].sum().mean())
    else:
        seconds /= n_fits
    n_trained = fit.about.get("n_trained")
    if n_trained is None:  # the clinical model
        n_trained = int(np.count_nonzero(fit.model.coefficients)) + 1
    return {"seconds_a_fit": round(seconds, 3), "n_trained": int(n_trained), "n_fits": n_fits}
