"""Settings of networks and of their training; nothing here loads Keras."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

_FLAGS = ("avx512_bf16", "amx_bf16")


@dataclass(frozen=True)
class ArchitectureSettings:
    """Name and size of the network.

    Parameters
    ----------
    name : str
        One of `models_training.architectures.ARCHITECTURES`.
    width : int
        Channels of the first stage; 64 in the original.
    stage_blocks : tuple of int
        Bottleneck blocks of the four stages; (3, 4, 6, 3) is ResNet-50.
    stem_stride : int
        Stride of the first convolution.
    stem_kernel_samples, kernel_samples : int
        Length of the first and of the blocks' middle convolution.
    dropout : float
        Before the last layer.
    covariate_units : int
        Hidden units of the covariates' branch.
    """

    name: str = "resnet50"
    width: int = 64
    stage_blocks: tuple[int, ...] = (3, 4, 6, 3)
    stem_stride: int = 2
    stem_kernel_samples: int = 7
    kernel_samples: int = 3
    dropout: float = 0.3
    covariate_units: int = 16


def parse_stage_blocks(text: str) -> tuple[int, ...]:
    """Return (3, 4, 6, 3) for ``"3-4-6-3"``.

    Raises
    ------
    ValueError
        If it is not four positive numbers joined by ``-``.
    """
    parts = text.split("-")
    if len(parts) != 4 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise ValueError(
            f"stage_blocks must be four positive numbers joined by -, got {text!r}. "
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
