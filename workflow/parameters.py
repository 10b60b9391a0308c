"""The parameters of every notebook, defined once.

One frozen dataclass a stage. The tagged ``parameters`` cell of the notebook, the command-line
flags, validation, ``run.json`` and the reference table are derived from these classes. To add a
parameter, add a field and run ``python -m workflow sync``. "Not given" is ``""`` or ``0`` with a
stated meaning: papermill's inspection does not see unions.
"""

from __future__ import annotations

from dataclasses import dataclass

from workflow.parameter_rules import parameter, same_as

VARIANTS = ("ecg", "ecg_age", "ecg_covariates", "clinical")
ARCHITECTURES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "wide_resnet",
    "fcn_wang",
    "xresnet1d",
    "inception_time",
    "random_kernels",
)
PUBLIC_COHORTS = ("brugada_huca", "ptbxl", "ludb", "challenge2021", "code15", "sami_trop")
COHORTS = ("synthetic_nicm", *PUBLIC_COHORTS, "folder")
RUNGS = ("embedding", "probe", "partial", "progressive", "full", "scratch", "choose")
LADDER = ("clinical", "random_kernels", *RUNGS[:-1])
MAPPINGS = (".yaml", ".yml")  # a cohort of one's own, made with `new-cohort`


@dataclass(frozen=True)
class PreparationParameters:
    """Parameters of ``01_prepare_data``."""

    run_directory: str = parameter(
        "runs/quickstart", "folder of this run, below the project's root or absolute"
    )
    cohort: str = parameter(
        "synthetic_nicm",
        "synthetic_nicm, folder, FILE.yaml, or ptbxl and other public ones",
        choices=COHORTS,
        suffixes=MAPPINGS,
    )
    data_root: str = parameter(
        "", "folder of public data or your cohort; empty: ECG_DATA_ROOT, or the mapping's"
    )
    n_patients: int = parameter(314, "patients to simulate (synthetic cohort only)", minimum=20)
    effect_size: float = parameter(
        1.0, "size of the planted ECG effect, 0 for none (synthetic cohort only)", minimum=0.0
    )
    horizon_days: int = parameter(
        1095, "outcome horizon; unknown status there: for time to event only", minimum=1
    )
    baseline_window_days: int = parameter(
        365, "ECGs recorded up to so many days before the index date count", minimum=0
    )
    landmark_days: int = parameter(
        0, "time zero is so many days after the index date; ECGs up to it count", minimum=0
    )
    most_ecgs: int = parameter(0, "ECGs of a patient that count at most; 0: all", minimum=0)
    ecg_order: str = parameter(
        "nearest",
        "which ones then, nearest to the index date",
        choices=("nearest", "first", "last"),
    )
    ecgs_after_event: str = parameter(
        "stop", "an ECG recorded after the event is a leak", choices=("stop", "drop")
    )
    duplicates: str = parameter(
        "cohort",
        "one recording under two patients; or the cohort's default",
        choices=("cohort", "stop", "merge", "drop"),
    )
    atypical: str = parameter(
        "exclude",
        "uncertain Brugada cases (brugada_huca only)",
        choices=("exclude", "positive", "negative"),
    )
    target: str = parameter(
        "", "label of a public cohort, such as MI, or several: MI,STTC; empty: its default"
    )
    task: str = parameter(
        "binary",
        "what is predicted",
        choices=("binary", "several", "regression", "time_to_event"),
    )
    target_columns: str = parameter(
        "", "covariates to predict, joined by commas (several, regression); not seen"
    )
    horizons_days: str = parameter(
        "", "horizons such as 90-180-365 (time_to_event only); the last: outcome's"
    )
    source_rate_hz: int = parameter(
        0, "which published files, 100 or 500 (ptbxl only); 0: the default", minimum=0
    )
    rate_hz: int = parameter(100, "sampling rate of the prepared ECGs in Hz", minimum=50)
    duration_seconds: float = parameter(10.0, "length of the prepared ECGs in seconds", above=0.0)
    short_ecgs: str = parameter(
        "refuse", "shorter ECGs; padded with zeros at both ends", choices=("refuse", "pad")
    )
    filter_preset: str = parameter(
        "corners",
        "corners: as the next two; diagnostic: 0.05 to 150 Hz",
        choices=("corners", "off", "standard", "diagnostic"),
    )
    low_cut_hz: float = parameter(0.5, "high-pass corner in Hz, 0 is off", minimum=0.0)
    high_cut_hz: float = parameter(40.0, "low-pass corner in Hz, 0 is off", minimum=0.0)
    filter_order: int = parameter(
        2, "order of each filter, run forward and backward; the shipped encoder needs 4", minimum=1
    )
    notch_hz: int = parameter(0, "notch against the mains, 50 or 60 Hz; 0 is off", minimum=0)
    suspected_leads: str = parameter(
        "keep", "ECGs whose leads or electrodes look exchanged", choices=("keep", "reject")
    )
    wander_mv: float = parameter(1.0, "range of the baseline from which it is flagged", above=0.0)
    noise_mv: float = parameter(0.02, "noise of 20 to 50 Hz from which it is flagged", above=0.0)
    mains_mv: float = parameter(0.05, "amplitude of mains hum from which it is flagged", above=0.0)
    beat_correlation: float = parameter(
        0.66, "likeness of a lead's beats below which it is flagged", minimum=0.0
    )
    protocol: str = parameter(
        "cross_validation",
        "how patients are split",
        choices=("cross_validation", "hold_out", "leave_one_site_out"),
    )
    site_column: str = parameter(
        "site", "column of the patients that names the site (leave_one_site_out only)"
    )
    n_folds: int = parameter(5, "outer folds of the cross-validation", minimum=2)
    n_inner_folds: int = parameter(
        5, "inner folds of the training patients: one for early stopping", minimum=2
    )
    n_repeats: int = parameter(10, "repeats of the split with other random folds", minimum=1)
    seed: int = parameter(0, "seed of the simulated cohort and of the split", minimum=0)


@dataclass(frozen=True)
class TrainingParameters:
    """Parameters of ``02_train_model``."""

    run_directory: str = parameter(
        "runs/quickstart", "folder of this run, below the project's root or absolute"
    )
    variant: str = parameter("ecg", "what the model may see", choices=VARIANTS)
    architecture: str = parameter("resnet50", "network", choices=ARCHITECTURES)
    width: int = parameter(
        8, "channels of the first stage; 0: as published, 64 in ResNet-50", minimum=0
    )
    stage_blocks: str = parameter("", "blocks a stage, such as 3-4-6-3; empty: as published")
    stem_stride: int = parameter(0, "stride of the first convolution; 0: as published", minimum=0)
    normalisation: str = parameter(
        "cohort",
        "leads scaled by the training ECGs, or each ECG by itself",
        choices=("cohort", "record"),
    )
    use_amplitude: bool = parameter(False, "the leads' log amplitudes as 12 more features")
    dropout: float = parameter(0.3, "dropout before the last layer", minimum=0.0, below=1.0)
    n_epochs: int = parameter(10, "most epochs a fold", minimum=1)
    batch_size: int = parameter(32, "ECGs a training step", minimum=2)
    learning_rate: float = parameter(0.001, "step size of AdamW", above=0.0)
    weight_decay: float = parameter(0.01, "weight decay of AdamW", minimum=0.0)
    patience: int = parameter(
        5, "epochs without better validation loss before a fold stops", minimum=1
    )
    records_per_patient: int = parameter(
        1, "random ECGs of a patient an epoch; 0: all, weighted by 1/n", minimum=0
    )
    precision: str = parameter(
        "auto",
        "auto: mixed bfloat16 where the processor has it",
        choices=("auto", "float32", "mixed_bfloat16"),
    )
    rung: str = parameter("scratch", "what is trained", choices=RUNGS)
    pretrained: str = parameter(
        "", "encoder of pre_trained_models, or its folder; empty for scratch"
    )
    schedule: str = parameter(
        "cosine", "course of the step size", choices=("cosine", "one_cycle", "constant")
    )
    warmup_epochs: int = parameter(0, "epochs in which the step size rises from 0", minimum=0)
    weight_averaging: str = parameter(
        "none", "mean of the weights along the training", choices=("none", "ema", "swa")
    )
    label_smoothing: float = parameter(
        0.0, "outcomes become s/2 and 1 - s/2 in training; 0: off", minimum=0.0, below=0.5
    )
    augment_strength: float = parameter(
        0.0, "shifts, noise, cutout, lead dropout; 1 is usual, 0: off", minimum=0.0
    )
    mixup_alpha: float = parameter(0.0, "ECGs mixed in pairs, 0.2 is usual; 0: off", minimum=0.0)
    crop_seconds: float = parameter(
        0.0, "random piece of an ECG a network is trained on; 0: all of it", minimum=0.0
    )
    n_crops: int = parameter(1, "pieces of an ECG whose mean logit is its score", minimum=1)
    imbalance: str = parameter(
        "none",
        "the rarer outcome weighs more; the risks are then recalibrated",
        choices=("none", "class_weights", "oversample", "undersample"),
    )
    n_seeds: int = parameter(
        1, "networks a fold that differ by chance; the mean logit scores; 5 or more", minimum=1
    )
    n_trials: int = parameter(
        0, "trials of a search for settings inside each fold's training patients; 0: off", minimum=0
    )
    is_deterministic: bool = parameter(False, "repeats to the last digit, at some cost of speed")
    n_network_repeats: int = parameter(
        1,
        "repeats of the split for a network; the clinical model: all",
        minimum=1,
    )
    n_refits: int = parameter(
        200, "bootstrap refits of the clinical model, and permutations; 0: none", minimum=0
    )
    run_eagerly: bool = parameter(False, "without graph compilation; for tiny models only")
    seed: int = parameter(0, "seed of weights, dropout and shuffling", minimum=0)


@dataclass(frozen=True)
class EvaluationParameters:
    """Parameters of ``03_evaluate``."""

    run_directory: str = parameter(
        "runs/quickstart", "folder of this run, below the project's root or absolute"
    )
    evaluated_target: str = parameter(
        "", "which of several targets; empty: the first, or the longest horizon"
    )
    new_variant: str = parameter(
        "ecg_covariates", "model of the primary comparison", choices=VARIANTS
    )
    reference_variant: str = parameter("clinical", "what it is compared with", choices=VARIANTS)
    margin: float = parameter(
        0.05, "AUROC gain under which the ECG 'does not add'", above=0.0, below=1.0
    )
    threshold_rule: str = parameter(
        "youden",
        "how the threshold is chosen on training folds",
        choices=("youden", "sensitivity", "specificity"),
    )
    threshold_target: float = parameter(
        0.0, "aim of the last two rules, for example 0.9; 0: not used", minimum=0.0, below=1.0
    )
    risk_low: float = parameter(
        0.02, "lowest risk of the decision curve at which one might act", above=0.0, below=1.0
    )
    risk_high: float = parameter(0.4, "highest such risk", above=0.0, below=1.0)
    reclassification_risk: float = parameter(
        0.0, "risk of IDI and net reclassification; 0: not made", minimum=0.0, below=1.0
    )
    least_events: int = parameter(
        10, "events, and patients without, a subgroup needs to be analysed", minimum=5
    )
    confidence: float = parameter(0.95, "level of all intervals", above=0.5, below=1.0)
    n_resamples: int = parameter(2000, "bootstrap resamples of patients", minimum=100)
    seed: int = parameter(0, "seed of the bootstrap", minimum=0)


@dataclass(frozen=True)
class ExplanationParameters:
    """Parameters of ``04_explain``."""

    run_directory: str = parameter(
        "runs/quickstart", "folder of this run, below the project's root or absolute"
    )
    variant: str = parameter(
        "ecg_covariates", "which network to explain", choices=("ecg", "ecg_age", "ecg_covariates")
    )
    evaluated_target: str = same_as(EvaluationParameters, "evaluated_target")
    gradcam_layer: str = parameter(
        "", "layer of Grad-CAM; empty: the last with a value each 0.1 s, or the finest"
    )
    n_examples: int = parameter(2, "ECGs shown on paper, highest and lowest risk", minimum=1)
    n_records: int = parameter(40, "most ECGs of the group maps, spread over the folds", minimum=2)
    n_steps: int = parameter(32, "steps of the integrated gradients", minimum=4)
    n_background: int = parameter(
        50, "training patients the SHAP values are measured against", minimum=2
    )
    n_card_records: int = parameter(
        12, "ECGs, fold by fold, for the report cards; 10 or more to judge", minimum=1
    )
    shuffled_epochs: int = parameter(
        0, "epochs of networks on shuffled outcomes for the cards; 0: not made", minimum=0
    )
    n_measured: int = parameter(
        500, "most patients whose ECG is measured and held against the score", minimum=10
    )
    n_training_ecgs: int = parameter(
        100, "training ECGs a fold for neighbours and replaced waves", minimum=10
    )
    n_neighbours: int = parameter(3, "nearest training patients shown", minimum=1)
    seed: int = parameter(0, "seed of all that is drawn", minimum=0)


@dataclass(frozen=True)
class ExternalParameters:
    """Parameters of ``05_validate_external``."""

    run_directory: str = parameter(
        "runs/external", "folder of this run, below the project's root or absolute"
    )
    model_run: str = parameter(
        "runs/quickstart", "folder of the run whose models are judged, frozen as they are"
    )
    other_target: str = parameter(
        "refuse",
        "another target or horizon than the model's: accept declares it",
        choices=("refuse", "accept"),
    )
    absent_covariates: str = parameter(
        "refuse",
        "a covariate that the cohort lacks; impute: the training mean",
        choices=("refuse", "impute"),
    )
    n_update_folds: int = parameter(5, "folds in which updating is judged", minimum=2)
    new_variant: str = same_as(EvaluationParameters, "new_variant")
    reference_variant: str = same_as(EvaluationParameters, "reference_variant")
    margin: float = same_as(EvaluationParameters, "margin")
    risk_low: float = same_as(EvaluationParameters, "risk_low")
    risk_high: float = same_as(EvaluationParameters, "risk_high")
    confidence: float = same_as(EvaluationParameters, "confidence")
    n_resamples: int = same_as(EvaluationParameters, "n_resamples")
    seed: int = parameter(0, "seed of the bootstrap and of the folds for updating", minimum=0)
