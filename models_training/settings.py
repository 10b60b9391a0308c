"""Settings of networks and of their training; nothing here loads Keras."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FLAGS = ("avx512_bf16", "amx_bf16")


# What a family has where the settings say nothing; 0 and () are what it does not have.
_RESNET = {"width": 64, "stem_stride": 2, "stem_kernel_samples": 7, "kernel_samples": 3}
FAMILIES: dict[str, dict[str, Any]] = {
    "resnet18": {**_RESNET, "stage_blocks": (2, 2, 2, 2)},
    "resnet34": {**_RESNET, "stage_blocks": (3, 4, 6, 3)},
    "resnet50": {**_RESNET, "stage_blocks": (3, 4, 6, 3)},
    "wide_resnet": {
        **_RESNET,
        "stage_blocks": (1, 1, 1, 1),
        "stem_stride": 1,
        "stem_kernel_samples": 16,
        "kernel_samples": 16,
    },
    "fcn_wang": {"width": 128, "stage_blocks": (1, 1, 1), "stem_stride": 1, "kernel_samples": 8},
    "xresnet1d": {
        **_RESNET,
        "stage_blocks": (3, 4, 6, 3),
        "stem_kernel_samples": 5,
        "kernel_samples": 5,
    },
    "inception_time": {
        "width": 32,
        "stage_blocks": (3, 3),
        "stem_stride": 1,
        "kernel_samples": 40,
    },
    "random_kernels": {},
}
NORMALISATIONS = ("cohort", "record")
_SIZES = ("width", "stage_blocks", "stem_stride", "stem_kernel_samples", "kernel_samples")


@dataclass(frozen=True)
class ArchitectureSettings:
    """Name, size and inputs of the network.

    A size of 0 (or no `stage_blocks`) is replaced by the family's own, as published; a size the
    family does not have stays 0 whatever is given.

    Parameters
    ----------
    name : str
        One of `FAMILIES`.
    width : int
        Channels of the first stage (inception_time: of each path). Not of random_kernels.
    stage_blocks : tuple of int
        Blocks of the stages; (3, 4, 6, 3) is ResNet-50. Four stages in the residual networks,
        three in fcn_wang, two in inception_time, none in random_kernels.
    stem_stride : int
        Stride of the first convolution (inception_time: of a mean before it). Not of
        random_kernels.
    stem_kernel_samples : int
        Length of the first convolution of the residual networks.
    kernel_samples : int
        Length of the blocks' convolutions; of the longest in fcn_wang and inception_time. Not of
        random_kernels.
    n_random_features : int
        Of random_kernels; rounded down to a multiple of its 84 kernels.
    normalisation : str
        ``cohort``: every lead by mean and SD of the training ECGs. ``record``: by those of the
        ECG itself, which removes its amplitude.
    use_amplitude : bool
        Whether the log SD of each lead in mV joins the features before the last layer.
    dropout : float
        Before the last layer.
    covariate_units : int
        Hidden units of the covariates' branch.

    Raises
    ------
    ValueError
        If a name is unknown, or the number of stages is not the family's.

    Examples
    --------
    >>> ArchitectureSettings(name="inception_time").stage_blocks
    (3, 3)
    """

    name: str = "resnet50"
    width: int = 0
    stage_blocks: tuple[int, ...] = ()
    stem_stride: int = 0
    stem_kernel_samples: int = 0
    kernel_samples: int = 0
    n_random_features: int = 9996
    normalisation: str = "cohort"
    use_amplitude: bool = False
    dropout: float = 0.3
    covariate_units: int = 16

    def __post_init__(self) -> None:
        """Check the names and put in the family's own sizes."""
        _check_name("architecture", self.name, FAMILIES)
        _check_name("normalisation", self.normalisation, NORMALISATIONS)
        own = FAMILIES[self.name]
        n_stages = len(own.get("stage_blocks", ()))
        if self.stage_blocks and len(self.stage_blocks) != n_stages:
            raise ValueError(
                f"stage_blocks must be {n_stages} numbers for {self.name}, got "
                f"{len(self.stage_blocks)}. Leave it empty for the network as published."
            )
        for size in _SIZES:
            value = (getattr(self, size) or own[size]) if size in own else _nothing(size)
            object.__setattr__(self, size, value)


def _check_name(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ValueError(f"{what} must be one of {', '.join(known)}, got {name!r}. Choose one.")


def _nothing(size: str) -> int | tuple[int, ...]:
    return () if size == "stage_blocks" else 0


def parse_stage_blocks(text: str) -> tuple[int, ...]:
    """Return (3, 4, 6, 3) for ``"3-4-6-3"``, and nothing for nothing: as published.

    Raises
    ------
    ValueError
        If it is not positive numbers joined by ``-``.
    """
    parts = text.split("-") if text else []
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(
            f"stage_blocks must be positive numbers joined by -, got {text!r}. "
            "ResNet-50 is 3-4-6-3."
        )
    return tuple(int(part) for part in parts)


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained.

    Parameters
    ----------
    n_epochs, patience : int
        Most epochs, and epochs without a better validation loss before a fold stops.
    batch_size : int
        Records a step.
    learning_rate, weight_decay : float
        Of AdamW; the rate falls along a cosine.
    records_per_patient : int
        See `EpochBatches`.
    precision : str
        ``auto`` (mixed bfloat16 where the processor has it), ``float32`` or ``mixed_bfloat16``.
    rung : str
        What is trained: one of `models_training.rungs.RUNGS`, or ``choose``.
    n_network_repeats : int
        Repeats of the split a network is trained in.
    run_eagerly : bool
        Without compiling the graph; pays for tiny models only.
    seed : int
        Of weights, dropout and order.
    schedule, warmup_epochs : str, int
        See `models_training.schedules`.
    weight_averaging : str
        ``none``, ``ema`` or ``swa``, see `models_training.weight_averaging`.
    label_smoothing : float
        Outcomes 0 and 1 become s / 2 and 1 - s / 2 in training.
    augment_strength, mixup_alpha : float
        See `models_training.augmentations`; 0 is off.
    crop_seconds, n_crops : float, int
        Length of the random piece of an ECG a network is trained on (0: the whole ECG), and the
        pieces of an ECG whose mean logit is its score.
    imbalance : str
        See `models_training.sampling`; all but ``none`` bring a recalibration with them.
    n_seeds : int
        Networks a fold that differ in their seed alone.
    n_trials : int
        Of the search for hyper-parameters in each fold; 0 is off.
    is_deterministic : bool
        Operations that repeat exactly, at some cost of speed.
    """

    n_epochs: int = 100
    patience: int = 15
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    records_per_patient: int = 0
    precision: str = "auto"
    rung: str = "scratch"
    n_network_repeats: int = 1
    run_eagerly: bool = False
    seed: int = 0
    schedule: str = "cosine"
    warmup_epochs: int = 0
    weight_averaging: str = "none"
    label_smoothing: float = 0.0
    augment_strength: float = 0.0
    mixup_alpha: float = 0.0
    crop_seconds: float = 0.0
    n_crops: int = 1
    imbalance: str = "none"
    n_seeds: int = 1
    n_trials: int = 0
    is_deterministic: bool = False
    architecture: ArchitectureSettings = field(default_factory=ArchitectureSettings)


def training_settings(values: Mapping[str, Any]) -> TrainingSettings:
    """Return settings from the parameters of a notebook; other parameters are passed over.

    Parameters
    ----------
    values : mapping
        By name of the fields of `TrainingSettings` and `ArchitectureSettings`, but the network's
        name as ``architecture`` and ``stage_blocks`` as text.

    Examples
    --------
    >>> training_settings({"architecture": "resnet18", "stage_blocks": "", "seed": 1}).seed
    1
    """
    values = {**values, "name": values["architecture"]}
    values["stage_blocks"] = parse_stage_blocks(values["stage_blocks"])
    names = ArchitectureSettings.__dataclass_fields__
    values["architecture"] = ArchitectureSettings(
        **{name: values[name] for name in names if name in values}
    )
    names = TrainingSettings.__dataclass_fields__
    return TrainingSettings(**{name: values[name] for name in names if name in values})


def resolved_precision(precision: str) -> str:
    """Return ``float32`` or ``mixed_bfloat16``; ``auto`` asks the processor.

    Raises
    ------
    ValueError
        If the name is unknown.
    """
    if precision not in ("auto", "float32", "mixed_bfloat16"):
        raise ValueError(
            f"precision must be auto, float32 or mixed_bfloat16, got {precision!r}. Use auto."
        )
    if precision != "auto":
        return precision
    information = Path("/proc/cpuinfo")
    flags = information.read_text().split() if information.exists() else []
    return "mixed_bfloat16" if any(flag in flags for flag in _FLAGS) else "float32"
