"""Where each table and document of a run lies, what it must hold, and which notebook writes it."""

from __future__ import annotations

from dataclasses import dataclass, field

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Table:
    """A table of the run folder: where it lies, its columns, and who writes it."""

    path: str
    written_by: str
    columns: dict[str, str]
    optional: dict[str, str] = field(default_factory=dict)


_EXTERNAL = "05_validate_external"
_PREDICTIONS = {
    "record_id": "text",
    "patient_id": "text",
    "repeat": "integer",
    "fold": "integer",
    "role": "text",
    "seed": "integer",
    "variant": "text",
    "target": "text",
    "horizon_days": "integer",
    "y_true": "number",
    "y_score": "number",
}
_METRICS = {
    "variant": "text",
    "target": "text",
    "level": "text",
    "subgroup": "text",
    "metric": "text",
    "method": "text",
    "threshold": "number",
    "estimate": "number",
    "ci_low": "number",
    "ci_high": "number",
    "n": "integer",
    "n_events": "integer",
}


def _explained(name: str, **columns: str) -> Table:
    """Return a table of notebook 04, one a variant."""
    return Table(f"04_explanations/{{variant}}/{name}.csv", "04_explain", columns)


def _evaluated(name: str, **columns: str) -> Table:
    """Return a table of notebook 03."""
    return Table(f"03_evaluation/{name}.csv", "03_evaluate", columns)


TABLES = {
    "patients": Table(
        "01_data/patients.parquet",
        "01_prepare_data",
        {"patient_id": "text", "outcome": "integer"},
        {
            "event": "integer",
            "duration_days": "number",
            "event_component": "text",
            "site": "text",
            "has_icd_at_index": "integer",
            "icd_during_follow_up": "integer",
        },
    ),
    "records": Table(
        "01_data/records.parquet",
        "01_prepare_data",
        {
            "record_id": "text",
            "patient_id": "text",
            "recorded_at": "date",
            "rate_hz": "number",
            "source_format": "text",
            "quality": "text",
            "quality_index": "number",
            "heart_rate_bpm": "number",
            "suspicions": "text",
            "proof_unit": "text",
            "proof_scale": "text",
            "proof_leads": "text",
            "file_sha256": "text",
            "valid_start": "integer",
            "valid_stop": "integer",
            "signal_row": "integer",
        },
        {"days_from_index": "number", "device_at_ecg": "text", "is_paced": "integer"},
    ),
    "lead_quality": Table(
        "01_data/lead_quality.parquet",
        "01_prepare_data",
        {
            "record_id": "text",
            "lead": "text",
            "range_mv": "number",
            "stuck_seconds": "number",
            "saturated_share": "number",
            "wander_mv": "number",
            "noise_mv": "number",
            "mains_mv": "number",
            "beat_correlation": "number",
        },
    ),
    "splits": Table(
        "01_data/splits.parquet",
        "01_prepare_data",
        {
            "patient_id": "text",
            "repeat": "integer",
            "fold": "integer",
            "inner_fold": "integer",
            "role": "text",
        },
    ),
    "rejected": Table(
        "01_data/rejected.csv", "01_prepare_data", {"record_id": "text", "reason": "text"}
    ),
    "table_one": Table("01_data/table_one.csv", "01_prepare_data", {}),
    "identifiers": Table(
        "01_data/private/identifiers.parquet", "01_prepare_data", {"record_id": "text"}
    ),
    "history": Table(
        "02_models/{variant}/history.csv",
        "02_train_model",
        {"repeat": "integer", "fold": "integer"},
    ),
    "trials": Table(
        "02_models/{variant}/trials.csv",
        "02_train_model",
        {"repeat": "integer", "fold": "integer", "trial": "integer", "val_loss": "number"},
    ),
    "predictions": Table(
        "02_models/{variant}/predictions.parquet",
        "02_train_model",
        _PREDICTIONS,
        {"event": "integer", "duration_days": "number"},
    ),
    "coefficients": Table(
        "02_models/{variant}/coefficients.csv",
        "02_train_model",
        {
            "covariate": "text",
            "log_odds_ratio_per_sd": "number",
            "step": "text",
            "odds_ratio_per_step": "number",
            "share_selected": "number",
        },
    ),
    "sensitivity": Table(
        "02_models/{variant}/sensitivity.parquet",
        "02_train_model",
        {
            "patient_id": "text",
            "repeat": "integer",
            "fold": "integer",
            "role": "text",
            "model": "text",
            "y_true": "integer",
            "y_score": "number",
        },
    ),
    "refits": Table(
        "02_models/{variant}/refits.parquet",
        "02_train_model",
        {
            "patient_id": "text",
            "refit": "integer",
            "n_drawn": "integer",
            "y_true": "integer",
            "y_score": "number",
        },
    ),
    "permutations": Table(
        "02_models/{variant}/permutations.csv",
        "02_train_model",
        {"permutation": "integer", "auroc": "number"},
    ),
    "learning_curve": Table(
        "02_models/{variant}/learning_curve.csv",
        "02_train_model",
        {"n_patients": "integer", "n_events": "integer", "draw": "integer", "auroc": "number"},
    ),
    "metrics": Table(
        "03_evaluation/metrics.csv",
        "03_evaluate",
        _METRICS,
    ),
    "number_metrics": Table(
        "03_evaluation/number_metrics.csv",
        "03_evaluate_numbers",
        {
            "target": "text",
            "variant": "text",
            "metric": "text",
            "method": "text",
            "estimate": "number",
            "ci_low": "number",
            "ci_high": "number",
            "n": "integer",
        },
    ),
    "number_comparisons": Table(
        "03_evaluation/number_comparisons.csv",
        "03_evaluate_numbers",
        {"target": "text", "new": "text", "reference": "text", "metric": "text"},
    ),
    "comparisons": _evaluated("comparisons", metric="text"),
    "subgroups": _evaluated("subgroups", subgroup="text", metric="text"),
    "explorer": _evaluated("explorer", threshold="number"),
    "operating_points": _evaluated("operating_points", rule="text", metric="text"),
    "claims": _evaluated("claims", sentence="text", verdict="text", evidence="text"),
    "recalibration": _evaluated("recalibration", recalibration="text", metric="text"),
    "folds": _evaluated("folds", label="text", note="text"),
    "stability": _evaluated("stability", measure="text", value="number"),
    "seeds": _evaluated("seeds", variant="text", measure="text", value="number", n_seeds="integer"),
    "clinical_forms": _evaluated("clinical_forms", model="text", metric="text"),
    "survival_metrics": _evaluated("survival_metrics", metric="text", horizon_days="number"),
    "survival_comparisons": _evaluated(
        "survival_comparisons", metric="text", horizon_days="number"
    ),
    "cox": _evaluated("cox", model="text", hazard_of="text"),
    "cumulative_incidence": _evaluated("cumulative_incidence", group="text", curve="text"),
    "risk_groups": _evaluated("risk_groups", group="text", n="integer"),
    "notes": _evaluated("time_to_event_notes", note="text"),
    "controls": _evaluated("controls", what="text", kind="text"),
    "sample_size": _evaluated("sample_size", expected_auroc="number", n_parameters="integer"),
    "ladder": Table(
        "ladder/ladder.csv",
        "labs/ladder",
        {
            "rung": "text",
            "n": "integer",
            "n_events": "integer",
            "n_repeats": "integer",
            "auroc": "number",
            "auroc_low": "number",
            "auroc_high": "number",
            "slope": "number",
            "brier": "number",
            "seconds_a_fit": "number",
            "n_trained": "integer",
            "gain": "number",
            "gain_low": "number",
            "gain_high": "number",
            "method": "text",
        },
    ),
    "shap_values": _explained("shap_values", covariate="text"),
    "map_cards": _explained(
        "map_cards", method="text", check="text", verdict="text", estimate="number"
    ),
    "beats": _explained("beats", record_id="text", patient_id="text", n_used="integer"),
    "wave_shares": _explained(
        "wave_shares", method="text", lead="text", wave="text", share_percent="number"
    ),
    "concepts": _explained(
        "concepts", measurement="text", adjusted_for="text", correlation="number"
    ),
    "map_concepts": _explained("map_concepts", measurement="text", wave="text", of="text"),
    "neighbours": _explained("neighbours", record_id="text", distance="number"),
    "replaced_waves": _explained(
        "replaced_waves", record_id="text", wave="text", leads="text", risk_after="number"
    ),
    "external_predictions": Table(
        "05_external/predictions.{variant}.parquet",
        _EXTERNAL,
        _PREDICTIONS,
        {"event": "integer", "duration_days": "number"},
    ),
    "external_metrics": Table(
        "05_external/metrics.csv", _EXTERNAL, {**_METRICS, "recalibration": "text"}
    ),
    "external_comparisons": Table("05_external/comparisons.csv", _EXTERNAL, {"metric": "text"}),
    "external_calibration": Table(
        "05_external/calibration.csv",
        _EXTERNAL,
        {"variant": "text", "recalibration": "text", "metric": "text", "estimate": "number"},
    ),
    "external_case_mix": Table(
        "05_external/case_mix.csv",
        _EXTERNAL,
        {"what": "text", "mean_external": "number", "standardised_difference": "number"},
    ),
    "external_precision": Table(
        "05_external/precision.csv",
        _EXTERNAL,
        {"expected_auroc": "number", "width_here": "number", "needed_events": "integer"},
    ),
    "external_imputed": Table(
        "05_external/imputed.csv",
        _EXTERNAL,
        {"variant": "text", "covariate": "text", "n_imputed": "integer", "n": "integer"},
    ),
}

DOCUMENTS = {
    "dataset": ("01_data/dataset.json", "01_prepare_data"),
    "flow": ("01_data/flow.json", "01_prepare_data"),
    "training": ("02_models/{variant}/training.json", "02_train_model"),
    "claim": ("03_evaluation/claim.json", "03_evaluate or 03_evaluate_numbers"),
    "maps": ("04_explanations/{variant}/maps.json", "04_explain"),
    "external": ("05_external/external.json", _EXTERNAL),
}
SIGNALS = "01_data/signals.npy"
