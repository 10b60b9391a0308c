"""Train one network fold after fold: compiled once, reset to its initial state for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from models_training.architectures import build_network
from models_training.batch_changes import changed_batch, check_settings, crop_samples
from models_training.crops import crop_starts
from models_training.embeddings import trunk_of
from models_training.fast_layers import must_compile
from models_training.fold_store import Checkpoint
from models_training.heads import BinaryHead, Head
from models_training.inputs import ECG_INPUT, EpochBatches, Inputs, TrainingData
from models_training.optimizers import FlatAdamW
from models_training.prediction_rows import prediction_rows
from models_training.rungs import RungPlan, layer_rates
from models_training.schedules import rate_share
from models_training.settings import TrainingSettings, resolved_precision
from models_training.targets import Targets
from models_training.training_statistics import set_training_statistics
from models_training.transfer import freeze_for_good, set_layer_rates
from models_training.weight_averaging import WeightAverage, average_of, best_epoch, kept_epoch


class NetworkTrainer:
    """One compiled network of a cohort and variant, trained anew as often as asked.

    Parameters
    ----------
    data : TrainingData
        The cohort; its covariates decide whether the network has that branch.
    settings : TrainingSettings
        How to train.
    head : Head, optional
        What is predicted from the targets of `data`; a binary outcome by default.

    Attributes
    ----------
    model : keras.Model
        From an ECG to ``risk``; `network` is the same layers up to ``logit``, which is trained.
    started_from : str
        Mark of the weights given to `begin_here`; empty for random ones.
    maker : callable or None
        From other settings to a trainer prepared as this one, see `another`.
    plan : RungPlan or None
        Which layers learn when, see `follow`; None: all, always.
    """

    plan: RungPlan | None

    def __init__(
        self, data: TrainingData, settings: TrainingSettings, head: Head | None = None
    ) -> None:
        self.data, self.settings, self.head = data, settings, head or BinaryHead()
        check_settings(settings, self.head)
        self.n_samples = crop_samples(settings, data.signals.shape[1])
        self._average: WeightAverage | None = None
        self.maker: Callable[[TrainingSettings], NetworkTrainer] | None = None
        self.started_from, self.plan = "", None
        self.precision = resolved_precision(settings.precision)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.precision)
        try:
            self.model = build_network(
                n_samples=self.n_samples,
                covariate_names=list(data.covariates.columns),
                settings=settings.architecture,
                head=self.head,
                seed=settings.seed,
            )
        finally:
            keras.config.set_dtype_policy(before)
        self.network = keras.Model(self.model.inputs, self.model.get_layer("logit").output)
        self._compile()

    def _compile(self) -> None:
        """Give the network a new optimizer, and let later trainings begin with what it is now."""
        settings = self.settings
        optimizer = FlatAdamW(settings.learning_rate, weight_decay=settings.weight_decay)
        self.network.compile(
            optimizer,
            self.head.loss,
            run_eagerly=settings.run_eagerly,
            jit_compile=must_compile(settings.run_eagerly),
        )
        optimizer.build(self.network.trainable_variables)
        self._initial = self._state()

    def _state(self) -> dict[str, list[np.ndarray]]:
        """Return all that training changes; dropout's random state is among the variables."""
        optimizer: Any = self.network.optimizer
        return {
            "variables": [variable.numpy() for variable in self.model.variables],
            "optimizer": [variable.numpy() for variable in optimizer.variables],
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        optimizer: Any = self.network.optimizer
        owners = {"variables": self.model.variables, "optimizer": optimizer.variables}
        for name, variables in owners.items():
            for variable, value in zip(variables, state[name], strict=True):
                variable.assign(value)

    def begin_here(self, mark: str) -> None:
        """Let every later training begin with the weights as they are, of which `mark` is a hash.

        The scaling of the ECG stays as it is, too; that of covariates and amplitudes is the
        training rows'.
        """
        self.started_from, self._initial = mark, self._state()

    def follow(self, plan: RungPlan) -> None:
        """Let every later training freeze and free layers by a plan."""
        self.plan, trunk = plan, trunk_of(self.model)
        freeze_for_good(trunk, [layer_rates(trunk, rates) for rates in plan.rates])
        self._compile()
        self._enter_phase(plan.earliest_stop, is_first=True)

    def _enter_phase(self, epoch: int, *, is_first: bool) -> None:
        """Set the rates of the phase that an epoch belongs to, where it is another one."""
        if self.plan is not None and (is_first or epoch in self.plan.starts):
            rates = layer_rates(trunk_of(self.model), self.plan.rates_at(epoch))
            set_layer_rates(self.network, rates, freeze_statistics=self.plan.is_norm_frozen)

    def _is_over(self, epoch: int, rows: list[dict[str, float]]) -> bool:
        """Return whether patience has ended; it begins when all of the plan has begun."""
        if self.settings.weight_averaging == "swa":
            return False
        begun = self.plan.earliest_stop if self.plan is not None else 0
        return epoch - max(best_epoch(rows), begun) >= self.settings.patience

    def another(self, settings: TrainingSettings) -> NetworkTrainer:
        """Return a trainer that was prepared as this one, with another seed or other values."""
        if self.maker is None and (self.started_from or self.plan is not None):
            raise ValueError("maker must be set for a trainer that was prepared, got none.")
        make = self.maker or (lambda new: NetworkTrainer(self.data, new, self.head))
        return make(settings)

    def reset(self, train_rows: np.ndarray) -> None:
        """Return to the initial state, with the statistics of these training rows."""
        self._set_state(self._initial)
        options = {"seed": self.settings.seed, "keeps_scaling": bool(self.started_from)}
        set_training_statistics(self.model, self.data, train_rows, **options)
        y_true = self.data.y_true[train_rows]
        statistics = self.head.fit(y_true)
        if statistics is not None:
            self.model.get_layer("risk").set_statistics(*statistics)
        self.model.get_layer("logit").bias.assign(self.head.start_bias(y_true))

    def fit(
        self,
        train_rows: np.ndarray,
        validation_rows: np.ndarray | None,
        *,
        n_epochs: int,
        seed: tuple[int, ...],
        bar: tqdm | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> pd.DataFrame:
        """Train from the initial state; with validation rows the best epoch's weights are kept.

        With a checkpoint, a training that was stopped goes on after its last whole epoch and ends
        as if it had not been stopped. With an average of the weights, that is what is validated
        and kept; with SWA after the last epoch, and patience does not count.

        Returns
        -------
        DataFrame
            ``epoch`` (from 1), ``loss``, ``val_loss`` and the head's metrics, such as
            ``val_auroc`` (of patients), ``seconds``, ``is_kept`` (the epoch whose weights are).
        """
        self.reset(train_rows)
        batches = self._batches(train_rows, seed)
        best_weights, rows = self._resume(checkpoint)
        kind = self.settings.weight_averaging
        if bar is not None:
            bar.update(len(rows))
        for epoch in range(first := len(rows), n_epochs):
            if validation_rows is not None and self._is_over(epoch, rows):
                break
            self._enter_phase(epoch, is_first=epoch == first)
            begin = time.perf_counter()
            row = {"epoch": epoch + 1, "loss": self._train_epoch(batches, epoch, n_epochs)}
            with self._scored_weights(train_rows, is_last=epoch + 1 == n_epochs):
                if validation_rows is not None:
                    row |= self._validation(validation_rows)
                rows.append(row | {"seconds": round(time.perf_counter() - begin, 2)})
                if kept_epoch(rows, n_epochs, kind) == epoch + 1:
                    best_weights = self.model.get_weights()
            if bar is not None:
                bar.update(1)
            if checkpoint is not None:
                average = self._average.state() if self._average is not None else ()
                state = self._state() | {"best_weights": best_weights, "average": average}
                checkpoint.save(**state, history=rows)
        if best_weights:
            self.model.set_weights(best_weights)
        if bar is not None:
            bar.update(n_epochs - len(rows))
        history, kept = pd.DataFrame(rows), kept_epoch(rows, n_epochs, kind) or len(rows)
        return history.assign(is_kept=history["epoch"] == kept)

    def _scored_weights(self, train_rows: np.ndarray, *, is_last: bool) -> Any:
        """Return a context in which the network has the weights that are validated."""
        average, size = self._average, self.settings.batch_size
        if average is None or (average.kind == "swa" and not is_last):
            return nullcontext()
        parts = (train_rows[k : k + size] for k in range(0, len(train_rows), size))
        return average.in_place(self.model, (self._pieces(part)[0] for part in parts))

    def _batches(self, rows: np.ndarray, seed: tuple[int, ...]) -> EpochBatches:
        """Return the training batches; targets as the head's loss takes them."""
        return EpochBatches(
            self.data,
            rows,
            batch_size=self.settings.batch_size,
            records_per_patient=self.settings.records_per_patient,
            seed=(self.settings.seed, *seed),
            imbalance=self.settings.imbalance,
            y_true=self.head.encode(self.data.y_true),
        )

    def learning_rate_at(self, epoch: float, n_epochs: int) -> float:
        """Return the learning rate after some epochs, see `rate_share`."""
        warm_up = min(self.settings.warmup_epochs, n_epochs) / n_epochs
        share = rate_share(self.settings.schedule, epoch / n_epochs, warm_up=warm_up)
        return self.settings.learning_rate * share

    def _resume(
        self, checkpoint: Checkpoint | None
    ) -> tuple[list[np.ndarray], list[dict[str, float]]]:
        """Set network and optimizer to a stopped state; return best weights and epochs so far."""
        state = checkpoint.load() if checkpoint is not None else None
        self._average = average_of(self.settings.weight_averaging, state)
        if state is None:
            return [], []
        self._set_state(state)
        return state["best_weights"], state["history"]

    def _train_epoch(self, batches: EpochBatches, epoch: int, n_epochs: int) -> float:
        """Train one epoch; return the weighted mean loss. Batches have one size, traced once."""
        optimizer: Any = self.network.optimizer
        is_by_step = self.settings.schedule == "one_cycle" or epoch < self.settings.warmup_epochs
        batches.start_epoch(epoch)
        total = weight = 0.0
        for index in range(len(batches)):
            done = epoch + is_by_step * (index + 1) / len(batches)
            optimizer.learning_rate.assign(self.learning_rate_at(done, n_epochs))
            inputs, y_true, weights = changed_batch(
                batches[index],
                settings=self.settings,
                n_samples=self.n_samples,
                rng=np.random.default_rng([*batches.seed, epoch, index, 1]),
            )
            # The loss of this batch alone: the network's own running mean starts anew.
            self.network.reset_metrics()
            loss = np.asarray(self.network.train_on_batch(inputs, y_true, sample_weight=weights))
            # Keras has divided the weighted sum by the whole batch, records of weight 0 included.
            total, weight = total + float(loss.ravel()[0]), weight + float(weights.mean())
            if self._average is not None:
                is_end = index + 1 == len(batches)
                progress = (epoch + is_end) / n_epochs
                self._average.after_step(self.model, progress=progress, is_end_of_epoch=is_end)
        return total / weight

    def _validation(self, rows: np.ndarray) -> dict[str, float]:
        """Return loss and metrics of the validation patients (mean logit of their ECGs)."""
        patient = self.data.patient_row[rows]
        logits = pd.DataFrame(self.logits(rows)).groupby(patient).mean()
        y_true = self.data.targets[logits.index]
        encoded = self.head.encode(y_true).astype("float64")
        loss = np.asarray(self.head.loss(encoded, logits.to_numpy()))
        found = self.head.metrics(y_true, logits.to_numpy())
        return {"val_loss": float(loss.mean())} | {f"val_{k}": v for k, v in found.items()}

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Return the logits of some records, (n, n_outputs), in batches of one size.

        With pieces, the mean logit of `n_crops` pieces of each ECG. No record is refused.
        """
        if not len(rows):
            raise ValueError(
                "rows must name at least one record, got none. Use fewer folds: validation and "
                "test patients must have ECGs."
            )
        size = self.settings.batch_size
        parts = []
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            padded = np.resize(part, size)  # one shape, so the graph is traced once
            found = [self.network.predict_on_batch(inputs) for inputs in self._pieces(padded)]
            parts.append(np.mean(np.asarray(found, dtype="float64"), axis=0)[: len(part)])
        return np.concatenate(parts)

    def predictions(self, rows: np.ndarray, targets: Targets = ()) -> pd.DataFrame:
        """Return scores and truth of some records, see `prediction_rows`."""
        scores = self.head.scores(self.logits(rows))
        truth = self.head.outcomes(self.data.y_true[rows])
        return prediction_rows(self.data, rows, scores, truth, targets)

    def _pieces(self, rows: np.ndarray) -> list[Inputs]:
        """Return the inputs of some records: whole ECGs, or the same piece of all, and the next."""
        inputs, n_samples = self.data.inputs(rows), self.n_samples
        starts = crop_starts(self.data.signals.shape[1], n_samples, self.settings.n_crops)
        ecg = inputs[ECG_INPUT]
        return [inputs | {ECG_INPUT: ecg[:, start : start + n_samples]} for start in starts]

    def seconds_a_record(self) -> float:
        """Return the measured training time of a record; the first call also traces the graph."""
        size = self.settings.batch_size
        rows = np.resize(np.flatnonzero(self.data.is_labelled), size)
        batch = self._pieces(rows)[0], self.head.encode(self.data.y_true[rows])
        weights = np.ones(size, "float32")
        self.network.train_on_batch(*batch, sample_weight=weights)
        begin = time.perf_counter()
        self.network.train_on_batch(*batch, sample_weight=weights)
        return (time.perf_counter() - begin) / size
