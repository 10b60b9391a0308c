"""The rungs of the small-sample ladder: which layers of a network learn, when, and how fast."""

from __future__ import annotations

import math
from dataclasses import dataclass

import keras

from models_training.layers import TrainingScale

EMBEDDING, SCRATCH, CHOOSE, HEAD = "embedding", "scratch", "choose", "head"
NETWORK_RUNGS = ("probe", "partial", "progressive", "full", SCRATCH)
RUNGS = (EMBEDDING, *NETWORK_RUNGS)
RANDOM_KERNELS = "random_kernels"
# Each stage nearer to the ECG learns so many times slower: Howard and Ruder 2018, who also unfreeze
# from the head down (doi 10.18653/v1/P18-1031).
RATE_STEP = 2.6
FULL_RATE = 0.1  # of a pre-trained trunk, relative to its new head


@dataclass(frozen=True)
class RungPlan:
    """What learns in each phase of a training.

    Attributes
    ----------
    starts : tuple of int
        First epoch (from 0) of each phase, ascending.
    rates : tuple of dict
        For each phase, from a stage (or ``head``) to its share of the learning rate; a stage that
        is not named is frozen.
    is_norm_frozen : bool
        Whether the batch-norm statistics stay those of the encoder.
    """

    starts: tuple[int, ...]
    rates: tuple[dict[str, float], ...]
    is_norm_frozen: bool

    def rates_at(self, epoch: int) -> dict[str, float]:
        """Return the rates of an epoch (from 0): of the last phase that has begun."""
        return self.rates[sum(start <= epoch for start in self.starts) - 1]

    @property
    def earliest_stop(self) -> int:
        """Epoch from which patience counts: before, parts of the plan have not begun."""
        return self.starts[-1]


def check_rung(rung: str, pretrained: str, architecture: str) -> None:
    """Refuse a rung that cannot be trained.

    Parameters
    ----------
    rung : str
        One of `RUNGS`, or ``choose``.
    pretrained : str
        Name or folder of the encoder; empty for none.
    architecture : str
        Name of the network.

    Raises
    ------
    ValueError
        If the rung is unknown, needs an encoder that is not there, or has no use for it.

    Examples
    --------
    >>> check_rung("scratch", "", "resnet50")
    """
    if rung not in (*RUNGS, CHOOSE):
        raise ValueError(f"rung must be one of {', '.join((*RUNGS, CHOOSE))}, got {rung!r}.")
    if architecture == RANDOM_KERNELS:
        if rung != "embedding":
            raise ValueError(
                f"rung must be embedding with architecture {RANDOM_KERNELS}, got {rung}. Its "
                "kernels are not trained: set the rung, or choose another architecture."
            )
        if pretrained:
            raise ValueError(
                f"pretrained must be empty with architecture {RANDOM_KERNELS}, got "
                f"{pretrained!r}. Random kernels have nothing to transfer."
            )
    elif rung == "scratch" and pretrained:
        raise ValueError(
            f"pretrained must be empty with rung scratch, got {pretrained!r}. Choose a rung that "
            "starts from the encoder, such as full."
        )
    elif rung != "scratch" and not pretrained:
        raise ValueError(
            f"pretrained must name an encoder for rung {rung}, got ''. Name one, or use rung "
            f"scratch, or embedding with architecture {RANDOM_KERNELS}."
        )


def stages_of(trunk: keras.Model) -> dict[str, list[str]]:
    """Return the layers with weights of each stage of a trunk, from the ECG to the features.

    A stage is the first part of a layer's name: ``conv5`` of ``conv5_block3_2_conv``. The scaling
    of the ECG belongs to none.
    """
    found: dict[str, list[str]] = {}
    for layer in trunk.layers:
        # amplitudes stand beside the stages: they learn with the head
        is_beside = isinstance(layer, TrainingScale) or layer.name.startswith("amplitude")
        if layer.weights and not is_beside:
            found.setdefault(layer.name.split("_")[0], []).append(layer.name)
    return found


def rung_plan(rung: str, stages: list[str], n_epochs: int) -> RungPlan:
    """Return what learns when.

    Parameters
    ----------
    rung : str
        One of `NETWORK_RUNGS`.
    stages : list of str
        Of the trunk, from the ECG to the features; see :func:`stages_of`.
    n_epochs : int
        Most epochs of a training. ``progressive`` frees one stage after another in the first
        half of them; the stage nearest to the ECG stays as it is.

    Examples
    --------
    >>> rung_plan("partial", ["conv1", "conv2"], 10).rates
    ({'head': 1.0, 'conv2': 0.38461538461538464},)
    """
    down = stages[::-1]
    slower = {stage: RATE_STEP ** -(place + 1.0) for place, stage in enumerate(down)}
    if rung == "probe":
        return RungPlan((0,), ({HEAD: 1.0},), is_norm_frozen=True)
    if rung == "partial":
        return RungPlan((0,), ({HEAD: 1.0, down[0]: slower[down[0]]},), is_norm_frozen=True)
    if rung == "progressive":
        freed = [down[:n] for n in range(len(down))]
        starts = [phase * n_epochs // (2 * max(len(down) - 1, 1)) for phase in range(len(freed))]
        rates = tuple({HEAD: 1.0} | {stage: slower[stage] for stage in part} for part in freed)
        return RungPlan(tuple(starts), rates, is_norm_frozen=True)
    rate = {"full": FULL_RATE, "scratch": 1.0}[rung]
    return RungPlan((0,), ({HEAD: 1.0} | dict.fromkeys(stages, rate),), is_norm_frozen=False)


def layer_rates(trunk: keras.Model, rates: dict[str, float]) -> dict[str, float]:
    """Return the share of the learning rate by layer name, for `models_training.transfer`.

    Parameters
    ----------
    trunk : keras.Model
        Of the network; all other layers are the head.
    rates : dict
        A phase of a :class:`RungPlan`.

    Returns
    -------
    dict
        From each of the trunk's layers, and from ``""`` for the head, to its share; 0: frozen.
    """
    found = {"": rates[HEAD]}
    for stage, names in stages_of(trunk).items():
        found |= dict.fromkeys(names, rates.get(stage, 0.0))
    return found


def n_trained(model: keras.Model, rates: dict[str, float]) -> int:
    """Return how many weights learn at the rates of :func:`layer_rates`."""
    learning = [layer for layer in model.layers if rates.get(layer.name, rates[""])]
    return sum(math.prod(weight.shape) for layer in learning for weight in layer.trainable_weights)
