"""Report cards of the map methods of a run, as the notebook asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from explainability.card_data import CardData, LoadNetwork
from explainability.card_figures import card_panel
from explainability.card_measures import measure_maps
from explainability.card_methods import card_methods
from explainability.card_rules import FAIL
from explainability.class_activation import default_layer
from explainability.explained import RISK, Explained
from explainability.reference import agreement_with_tf_keras_vis
from explainability.report_card import MapVerdict, map_verdict, report_card

__all__ = ["CardData", "CardSetup", "MapCards", "map_cards"]

Panel = tuple[Figure, str, pd.DataFrame]
NAMES = {"grad_cam": "Grad-CAM", "integrated_gradients": "integrated gradients"}


@dataclass(frozen=True)
class CardSetup:
    """How the cards of a run are made.

    Parameters
    ----------
    n_records : int
        ECGs measured, those of the first folds; every one takes some eleven maps a method, and
        every fold a number of graphs.
    layer_name : str
        Of Grad-CAM; empty for `default_layer`.
    n_steps : int
        Points of the integrated gradients.
    title : str
        Of the run and variant.
    seed : int
        Of noise, random weights, random order and bootstrap.
    load_shuffled : callable, optional
        See `card_measures.measure_maps`.
    explained : Explained
        What the score is.
    """

    n_records: int
    layer_name: str = ""
    n_steps: int = 32
    title: str = ""
    seed: int = 0
    load_shuffled: Callable[[int, int], keras.Model] | None = None
    explained: Explained = RISK

    @classmethod
    def declared(
        cls,
        title: str,
        load_shuffled: Callable[[int, int], keras.Model] | None,
        explained: Explained = RISK,
        *,
        n_card_records: int,
        gradcam_layer: str,
        n_steps: int,
        seed: int,
        **_: Any,
    ) -> CardSetup:
        """Return the setup of a notebook's parameters; what others need is ignored."""
        return cls(n_card_records, gradcam_layer, n_steps, title, seed, load_shuffled, explained)


@dataclass(frozen=True)
class MapCards:
    """The cards of a run's map methods.

    Attributes
    ----------
    verdicts : dict of str to MapVerdict
        By the method's name.
    panels : dict of str to (Figure, str, DataFrame)
        Picture, caption and card, by the name of a file.
    agreement : str
        Of Grad-CAM with tf-keras-vis, an independent implementation.
    """

    verdicts: dict[str, MapVerdict]
    panels: dict[str, Panel]
    agreement: str

    @property
    def table(self) -> pd.DataFrame:
        """All cards under one another, with the column ``method``."""
        return pd.concat([panel[2] for panel in self.panels.values()], ignore_index=True)

    @property
    def failed(self) -> dict[str, str]:
        """The methods whose maps are not to be believed, with the reason."""
        return {name: one.reason for name, one in self.verdicts.items() if one.verdict == FAIL}

    @property
    def sentences(self) -> list[str]:
        """What each card says, in words, and whether Grad-CAM is right."""
        cards = [f"{name}: {one.sentence}" for name, one in self.verdicts.items()]
        return [*cards, self.agreement]


def map_cards(
    data: CardData, load_network: LoadNetwork, scores: pd.DataFrame, setup: CardSetup
) -> MapCards:
    """Return the report cards of Grad-CAM and of integrated gradients.

    Parameters
    ----------
    data : CardData
        Held-out ECGs that are explained; `CardSetup.n_records` of them are measured.
    load_network : callable
        From repeat, fold and seed to the network.
    scores : DataFrame
        Test rows of the explained networks, for whether they have learnt anything.
    setup : CardSetup
        How.
    """
    by_fold = data.records.reset_index(drop=True).sort_values(["repeat", "fold"], kind="stable")
    measured = data.of_rows(np.sort(by_fold.index.to_numpy()[: setup.n_records]))
    first = measured.records.iloc[0]
    network = load_network(*(int(first[key]) for key in ("repeat", "fold", "seed")))
    layer = setup.layer_name or default_layer(network, rate_hz=data.rate_hz)
    few = {name: np.asarray(values)[:4] for name, values in measured.inputs.items()}
    found = MapCards({}, {}, agreement_with_tf_keras_vis(network, few, layer_name=layer))
    for method in card_methods(layer, n_steps=setup.n_steps):
        values = measure_maps(measured, method, load_network, load_shuffled=setup.load_shuffled)
        options = {"scores": scores, "seed": setup.seed, "explained": setup.explained}
        card = report_card(values.table, **options)
        name = NAMES[method.name]
        figure, caption, _ = card_panel(card, values.table, title=f"{name}, {setup.title}")
        found.verdicts[name] = map_verdict(card)
        found.panels[f"0_card_{method.name}"] = (figure, caption, card.assign(method=name))
    return found
