"""Parameters of the labs that work on public data."""

from __future__ import annotations

from dataclasses import dataclass

from workflow.parameter_rules import parameter
from workflow.parameters import ARCHITECTURES


@dataclass(frozen=True)
class PretrainingParameters:
    """Parameters of ``labs/pretrain_encoder``."""

    run_directory: str = parameter("runs/lab-pretrain_encoder", "folder of this lab, as for a run")
    corpus: str = parameter(
        "ptbxl",
        "all of PTB-XL that is here, or its scaled mirror",
        choices=("ptbxl", "mirror"),
    )
    data_root: str = parameter("", "folder of public datasets; empty: environment ECG_DATA_ROOT")
    train_folds: str = parameter("1,2,3,4,5,6,7,8", "folds of PTB-XL to train on")
    held_out_folds: str = parameter("9", "folds that are scored at the end; not trained on")
    architecture: str = parameter("resnet50", "network", choices=ARCHITECTURES)
    width: int = parameter(
        0, "channels of the first stage; 0: as published, 64 in ResNet-50", minimum=0
    )
    n_epochs: int = parameter(30, "epochs; one random piece of every ECG each", minimum=1)
    encoder_name: str = parameter("my_encoder", "name of the encoder, and of its folder")
    n_resamples: int = parameter(2000, "bootstrap resamples of patients", minimum=100)
    seed: int = parameter(0, "seed of weights, order, pieces, changes and bootstrap", minimum=0)
