"""Parameters of the labs, as those of the stages in `workflow.parameters`."""

from __future__ import annotations

from dataclasses import dataclass

from workflow.parameter_rules import parameter, same_as
from workflow.parameters import LADDER, VARIANTS, TrainingParameters


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
    architecture: str = same_as(TrainingParameters, "architecture")
    width: int = same_as(TrainingParameters, "width", default=0)
    n_epochs: int = parameter(30, "epochs; one random piece of every ECG each", minimum=1)
    n_unlabelled_epochs: int = parameter(
        0, "epochs of self-supervision before those with labels; 0: none", minimum=0
    )
    encoder_name: str = parameter("my_encoder", "name of the encoder, and of its folder")
    n_resamples: int = parameter(2000, "bootstrap resamples of patients", minimum=100)
    seed: int = parameter(0, "seed of weights, order, pieces, changes and bootstrap", minimum=0)


@dataclass(frozen=True)
class LabParameters:
    """Parameters of ``labs/reproduce_086``."""

    run_directory: str = parameter("runs/lab-reproduce_086", "folder of this lab, as for a run")
    n_simulations: int = parameter(1000, "cohorts simulated for each truth", minimum=2)
    truth_low: float = parameter(0.65, "true AUROC of the models, first", above=0.5, below=1.0)
    truth_middle: float = parameter(0.75, "second", above=0.5, below=1.0)
    truth_high: float = parameter(0.85, "third", above=0.5, below=1.0)
    published_auroc: float = parameter(0.86, "published AUROC", above=0.5, below=1.0)
    published_low: float = parameter(0.57, "lower end of its interval", minimum=0.0, below=1.0)
    published_high: float = parameter(1.0, "upper end of its interval", above=0.5)
    published_reference: float = parameter(
        0.53, "published AUROC of the clinical model", above=0.5, below=1.0
    )
    n_patients: int = parameter(314, "patients of the cohort", minimum=50)
    event_rate: float = parameter(
        0.05, "share of patients with the event; not published", above=0.0, below=1.0
    )
    mean_ecgs: float = parameter(3.25, "mean ECGs of a patient, 1 + Poisson", minimum=1.0)
    correlation: float = parameter(
        0.8, "correlation of two ECGs of one patient", minimum=0.0, below=1.0
    )
    n_dimensions: int = parameter(16, "dimensions of the simulated embedding", minimum=1)
    penalty: float = parameter(10.0, "ridge penalty of the logistic regression", above=0.0)
    n_splits: int = parameter(20, "splits of a cohort; the best may be reported", minimum=6)
    n_repeated: int = parameter(100, "cohorts that also get 10 x 5-fold", minimum=2)
    n_calibration: int = parameter(200, "cohorts that set the signal for a truth", minimum=10)
    n_resamples: int = parameter(1000, "bootstrap resamples of an interval", minimum=100)
    margin: float = parameter(0.05, "AUROC gain worth having", above=0.0, below=1.0)
    seed: int = parameter(0, "seed of the simulation", minimum=0)


@dataclass(frozen=True)
class LadderParameters:
    """Parameters of ``labs/ladder``."""

    run_directory: str = parameter("runs/quickstart", "folder of a prepared run; --name gives it")
    rungs: str = parameter("random_kernels, scratch", "rungs of the ladder, joined by commas")
    reference: str = parameter(
        "random_kernels", "rung that the others are compared with", choices=LADDER
    )
    variant: str = parameter("ecg", "what the networks may see", choices=VARIANTS[:3])
    pretrained: str = parameter("", "encoder of pre_trained_models, or its folder; empty: none")
    architecture: str = same_as(TrainingParameters, "architecture")
    width: int = same_as(TrainingParameters, "width")
    stage_blocks: str = same_as(TrainingParameters, "stage_blocks")
    stem_stride: int = same_as(TrainingParameters, "stem_stride")
    normalisation: str = same_as(TrainingParameters, "normalisation")
    use_amplitude: bool = same_as(TrainingParameters, "use_amplitude")
    n_random_features: int = parameter(9996, "features of the random kernels", minimum=84)
    n_epochs: int = same_as(TrainingParameters, "n_epochs", default=30)
    patience: int = same_as(TrainingParameters, "patience", default=8)
    batch_size: int = same_as(TrainingParameters, "batch_size")
    learning_rate: float = same_as(TrainingParameters, "learning_rate")
    weight_decay: float = same_as(TrainingParameters, "weight_decay")
    records_per_patient: int = same_as(TrainingParameters, "records_per_patient")
    precision: str = same_as(TrainingParameters, "precision")
    n_network_repeats: int = parameter(
        1, "repeats of the split for a network; ridge and clinical: all", minimum=1
    )
    n_kernel_repeats: int = parameter(
        10, "repeats for random kernels: their features are made anew in every fold", minimum=1
    )
    run_eagerly: bool = parameter(False, "without graph compilation; for tiny models only")
    n_resamples: int = parameter(2000, "bootstrap resamples of patients", minimum=100)
    seed: int = parameter(0, "seed of weights, dropout, shuffling and bootstrap", minimum=0)
