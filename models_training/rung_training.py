"""A network on its rung of the ladder: built, started from an encoder, fitted in every fold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models_training.embedding_variant import fit_embedding
from models_training.embeddings import trunk_of
from models_training.inputs import TrainingData
from models_training.pretrained import Pretrained, transfer
from models_training.rung_choice import fit_choice
from models_training.rungs import (
    CHOOSE,
    EMBEDDING,
    RUNGS,
    SCRATCH,
    check_rung,
    layer_rates,
    n_trained,
    rung_plan,
    stages_of,
)
from models_training.settings import TrainingSettings
from models_training.training import NetworkTrainer
from models_training.variants import VariantFit, fingerprint, fit_network

if TYPE_CHECKING:
    from models_training.variants import VariantTraining


def make_trainer(
    data: TrainingData, settings: TrainingSettings, encoder: Pretrained | None
) -> NetworkTrainer:
    """Return a trainer whose every training begins and goes as the rung says.

    Parameters
    ----------
    data : TrainingData
        The cohort.
    settings : TrainingSettings
        With the rung. ``embedding`` is computed in float32, and its branch of covariates made
        wide enough to hold a linear model.
    encoder : Pretrained or None
        As :func:`models_training.rungs.check_rung` demands.

    Raises
    ------
    ValueError
        If the rung cannot be trained.
    """
    rung, network = settings.rung, settings.architecture
    check_rung(rung, encoder.name if encoder else "", network.name)
    if rung in (EMBEDDING, CHOOSE):
        n_units = max(network.covariate_units, 2 * data.covariates.shape[1])
        settings = replace(settings, architecture=replace(network, covariate_units=n_units))
    if rung == EMBEDDING:
        settings = replace(settings, precision="float32")
    trainer = NetworkTrainer(data, settings)
    if encoder is not None:
        trunk = trunk_of(trainer.model)
        transfer(encoder, trunk)
        trainer.begin_here(encoder.sha256)
        if rung != EMBEDDING:
            plan = rung_plan(
                "full" if rung == CHOOSE else rung, [*stages_of(trunk)], settings.n_epochs
            )
            trainer.follow(plan)
    return trainer


def fit_rung(job: VariantTraining, directory: Path) -> VariantFit:
    """Return the fit of a network variant on the rung of its settings; see `VariantTraining`."""
    trainer, rung = job.trainer, job.settings.rung
    if trainer is None:
        raise ValueError("job must be of a network, got the clinical model.")
    if rung == CHOOSE:
        network = trainer.settings.architecture

        def fit_one(candidate: str, folder: Path) -> VariantFit:
            settings = replace(job.settings, rung=candidate, architecture=network)
            encoder = None if candidate == SCRATCH else job.encoder
            return type(job)(job.variant, job.data, job.splits, settings, encoder).fit(folder)

        return fit_choice(fit_one, RUNGS, job.splits, directory)
    if rung == EMBEDDING:
        mark = fingerprint(job.data, job.splits, (job.settings, trainer.started_from))
        found = fit_embedding(trainer, job.splits, directory, mark)
    else:
        found = fit_network(trainer, job.splits, directory)
        found.about["n_trained"] = _n_trained(trainer)
    found.about["rung"] = rung
    if job.encoder is not None:
        found.about["encoder"] = job.encoder.origin
    return found


def _n_trained(trainer: NetworkTrainer) -> int:
    model: Any = trainer.model
    if trainer.plan is None:
        return n_trained(model, {"": 1.0})
    return n_trained(model, layer_rates(trunk_of(model), trainer.plan.rates[-1]))
