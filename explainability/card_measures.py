"""Measure on every record what the report card of a map method asks."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from explainability.card_data import (
    KEYS,
    CardData,
    CardMeasures,
    CardSettings,
    LoadNetwork,
    MapMethod,
)
from explainability.card_values import (
    RecordValues,
    likeness,
    neighbour_of_other_patient,
    planted_shares,
    rank_biserial,
    relative_change,
)
from explainability.model_access import ECG_INPUT, Inputs, batches, to_numpy
from explainability.replacement import (
    mean_height,
    ranks_from_top,
    replacement_curves,
    segment_means,
)
from explainability.resolution import samples_a_step
from explainability.sanity_checks import shifted_window_null
from explainability.scores import score_function
from explainability.wave_shares import deflection_size
from explainability.weight_randomisation import (
    map_correlation,
    randomise_weights,
    weighted_layers,
)

_EDGE_SECONDS = 0.5  # a shifted record's end meets its beginning there


def measure_maps(
    data: CardData,
    method: MapMethod,
    load_network: LoadNetwork,
    *,
    load_shuffled: Callable[[int, int], keras.Model] | None = None,
    settings: CardSettings | None = None,
) -> CardMeasures:
    """Measure a map method on held-out ECGs, each explained by the network of its fold.

    Parameters
    ----------
    data : CardData
        What is explained.
    method : MapMethod
        How.
    load_network : callable
        From repeat, fold and seed to the network. One network is used at a time, so the next may
        take the place of the one before.
    load_shuffled : callable, optional
        From repeat and fold to a network trained on shuffled outcomes of the fold's training
        patients, see ``models_training.shuffled_labels``.
    settings : CardSettings, optional
        Depths, noise, shares.

    Returns
    -------
    CardMeasures
        For `explainability.report_card.report_card`.

    Notes
    -----
    A record takes the maps of its own network, of ``len(depths) * n_draws`` with random weights,
    of each peer, of ``n_draws`` with noise, and of two shifts in time: eleven in all by default.
    """
    settings = settings or CardSettings()
    values = RecordValues(data.records)
    table = data.records.reset_index(drop=True)
    peers, maps = data.peer_rows(), [np.zeros(0)] * len(table)
    randomised: keras.Model | None = None  # one copy takes the weights of fold after fold
    for key, part in table.groupby(KEYS):
        rows = part.index.to_numpy()
        fold = FoldMaps(data, method, settings, rows, values)
        randomised = fold.explain(load_network(*key), randomised)
        for peer_key, peer in peers[peers["row"].isin(rows)].groupby(KEYS):
            kind = "seed" if peer_key[:2] == key[:2] else "repeat"
            place = np.searchsorted(rows, np.sort(peer["row"].to_numpy()))
            fold.compare_with_peer(load_network(*peer_key), kind, place)
        if load_shuffled is not None:
            theirs = method.explain(load_shuffled(*key[:2]), fold.inputs)
            values.add("random_labels", rows, likeness(fold.maps, theirs))
        for row, values_of_row in zip(rows, fold.maps, strict=True):
            maps[row] = values_of_row
    test = None
    if data.planted is not None:
        mass = method.mass(np.stack(maps))
        windows, ids = data.windows(mass.ndim), data.records["patient_id"].to_numpy()
        test = shifted_window_null(mass, windows, patient_ids=ids, seed=settings.seed)
    return CardMeasures(method.name, values.table(), test)


class FoldMaps:
    """The maps of one fold's records, measured one check after another.

    Parameters
    ----------
    data : CardData
        All records.
    method : MapMethod
        How they are explained.
    settings : CardSettings
        How they are measured.
    rows : int array
        The fold's records.
    values : RecordValues
        Where the values go.
    """

    def __init__(
        self,
        data: CardData,
        method: MapMethod,
        settings: CardSettings,
        rows: np.ndarray,
        values: RecordValues,
    ) -> None:
        self.data, self.method, self.settings = data, method, settings
        self.rows, self.values = rows, values
        self.inputs = _rows_of(data.inputs, rows)
        self.ids = data.records["patient_id"].to_numpy()[rows]
        self.rng = np.random.default_rng([settings.seed, int(rows[0])])
        self.maps = np.zeros(0)

    def explain(self, model: keras.Model, randomised: keras.Model | None) -> keras.Model:
        """Make the maps and measure all that needs no other trained network.

        `randomised` is the copy that another fold has used, and is returned for the next.
        """
        self.maps = self.method.explain(model, self.inputs)
        self._follow_the_signal()
        randomised = self._randomise(model, randomised)
        self._disturb(model)
        self._replace(model)
        return randomised

    def compare_with_peer(self, model: keras.Model, kind: str, place: np.ndarray) -> None:
        """Compare with another network's maps of the fold's records at `place`."""
        theirs = self.method.explain(model, _rows_of(self.inputs, place))
        ours, rows = self.maps[place], self.rows[place]
        agreement = map_correlation(ours, theirs)
        floor = _of_other_patients(map_correlation, ours, theirs, self.ids[place])
        self.values.add(f"{kind}_agreement", rows, agreement)
        self.values.add(f"{kind}_floor", rows, floor)
        self.values.add(f"{kind}_above_floor", rows, agreement - floor)

    def _follow_the_signal(self) -> None:
        mass = self.method.mass(self.maps)
        size = deflection_size(self.inputs[ECG_INPUT], mass)
        self.values.add("size", self.rows, map_correlation(mass, size))
        self.values.add("qrs", self.rows, rank_biserial(mass, self.data.qrs[self.rows]))
        if self.data.planted is not None:
            windows = self.data.windows(mass.ndim)[self.rows]
            enrichment, above_size = planted_shares(mass, windows, size)
            self.values.add("planted_truth", self.rows, enrichment)
            self.values.add("planted_above_size", self.rows, above_size)

    def _randomise(self, model: keras.Model, other: keras.Model | None) -> keras.Model:
        n_layers = len(weighted_layers(model))
        for depth in sorted(self.settings.depths):
            alike, floor = [], []
            for draw in range(self.settings.n_draws):
                chosen = max(1, round(depth * n_layers))
                seed = self.settings.seed + draw
                other = randomise_weights(model, n_layers=chosen, seed=seed, into=other)
                theirs = self.method.explain(other, self.inputs)
                alike.append(likeness(self.maps, theirs))
                floor.append(_of_other_patients(likeness, self.maps, theirs, self.ids))
            self.values.add("cascade", self.rows, np.mean(alike, axis=0), at=depth)
            if depth == 0.5:
                self.values.add("random_upper_weights", self.rows, np.mean(alike, axis=0))
            if depth == 1.0:
                self.values.add("random_weights", self.rows, np.mean(alike, axis=0))
                self.values.add("random_weights_floor", self.rows, np.mean(floor, axis=0))
        assert other is not None  # settings.depths is never empty
        return other

    def _disturb(self, model: keras.Model) -> None:
        ecg, rate_hz = self.inputs[ECG_INPUT], self.data.rate_hz
        changes = []
        for _ in range(self.settings.n_draws):
            noise = self.rng.normal(0.0, self.settings.noise_uv / 1000, ecg.shape)
            theirs = self._maps_of(model, ecg + noise.astype(ecg.dtype))
            changes.append(relative_change(self.maps, theirs))
        self.values.add("noise", self.rows, np.max(changes, axis=0))
        # Whole steps of the network, and half a step more, where its strides take other samples.
        step = samples_a_step(model)
        whole = step * max(1, round(self.settings.shift_seconds * rate_hz / step))
        for name, n_shift in (("time_shift", whole), ("part_shift", whole + step // 2)):
            n_edge = min(n_shift + round(_EDGE_SECONDS * rate_hz), ecg.shape[1] // 4)
            inner = slice(n_edge, ecg.shape[1] - n_edge)
            theirs = self._maps_of(model, np.roll(ecg, n_shift, axis=1))[:, inner]
            moved = np.roll(self.maps, n_shift, axis=1)[:, inner]
            self.values.add(name, self.rows, relative_change(moved, theirs))

    def _replace(self, model: keras.Model) -> None:
        settings = self.settings
        n_segment = max(1, round(settings.segment_seconds * self.data.rate_hz))
        by_map = segment_means(self.maps, n_segment)
        qrs = segment_means(self.data.qrs[self.rows], n_segment)
        scores = {"map": by_map, "qrs": np.broadcast_to(qrs, by_map.shape)}
        scores |= {f"random{k}": np.zeros_like(by_map) for k in range(settings.n_random)}
        rankings = {name: ranks_from_top(values, self.rng) for name, values in scores.items()}
        curves = replacement_curves(
            self._logits_of(model),
            self.inputs[ECG_INPUT],
            rankings,
            n_segment_samples=n_segment,
            shares=settings.shares,
        )
        for kind, found in curves.items():
            random = np.mean([found.pop(f"random{k}") for k in range(settings.n_random)], axis=0)
            heights = {}
            for name, curve in (found | {"random": random}).items():
                self.values.add_curve(f"{kind}_curve_{name}", self.rows, curve, settings.shares)
                heights[name] = mean_height(curve, settings.shares)
            self.values.add(kind, self.rows, heights["map"] - heights["random"])
            self.values.add(f"{kind}_qrs", self.rows, heights["map"] - heights["qrs"])

    def _maps_of(self, model: keras.Model, ecg: np.ndarray) -> np.ndarray:
        return self.method.explain(model, {**self.inputs, ECG_INPUT: ecg})

    def _logits_of(self, model: keras.Model) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        function, _ = score_function(model, None)
        names = [tensor.name for tensor in model.inputs]

        def logits_of(ecg: np.ndarray, rows: np.ndarray) -> np.ndarray:
            arrays = {name: values[rows] for name, values in self.inputs.items()}
            arrays = {name: (arrays | {ECG_INPUT: ecg})[name] for name in names}
            parts = [to_numpy(function(list(b.values()))) for _, b in batches(arrays)]
            return np.concatenate(parts).astype(np.float64)

        return logits_of


def _of_other_patients(
    compare: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ours: np.ndarray,
    theirs: np.ndarray,
    patient_ids: np.ndarray,
) -> np.ndarray:
    """Compare each map with one of another patient; NaN where there is none."""
    others = neighbour_of_other_patient(patient_ids)
    found, is_known = np.full(len(ours), np.nan), others >= 0
    if is_known.any():
        found[is_known] = compare(ours[is_known], theirs[others[is_known]])
    return found


def _rows_of(inputs: Inputs, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.asarray(array[rows]) for name, array in inputs.items()}
