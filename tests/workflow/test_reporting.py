"""Checklists and model cards say what the artifacts say, flag every blank, and give nobody away."""

import json
import re
import shutil
from pathlib import Path

import jinja2
import pandas as pd
import pytest

from workflow import __main__ as command
from workflow import reporting_answers
from workflow.artifacts import Artifacts
from workflow.report_tables import VARIANT_NAMES
from workflow.reporting import (
    BLANK,
    CHECKLISTS,
    FACTS,
    FILLED,
    MODEL_CARD,
    NOT_APPLICABLE,
    PARTLY,
    TO_FILL,
    RunFacts,
    fill,
    filled_lists,
    load_checklist,
    reporting_sections,
    write_reporting,
)
from workflow.reporting_answers import blank_lines, keep_answers, known_items, read_answers
from workflow.reporting_markdown import escaped

CANARY = "CANARY-4711"
N = 12


def _dataset():
    age = {"name": "age_years", "label": "Age", "unit": "years", "kind": "number"}
    return {
        "cohort": "own",
        "title": "Own cohort",
        "is_synthetic": False,
        "licence": "the owner's",
        "citation": "not published",
        "target": "sva",
        "target_label": "arrhythmia within 365 days",
        "horizon_days": 365,
        "landmark_days": 0,
        "components": [{"name": "vt", "role": "event", "n_events": 4, "n_within_horizon": 4}],
        "exclusions": ["adults: age_years at least 18"],
        "protocol": "cross_validation",
        "protocol_label": "Every patient is scored out of fold (2 folds by patient).",
        "description": "12 leads, 10 s at 100 Hz.",
        "signal_chain": {"rate_hz": 100, "duration_seconds": 10.0},
        "covariates": [age | {"low": 0.0, "high": 120.0}],
        "n_patients": N,
        "n_records": N,
        "n_events": 4,
        "n_samples": 1000,
        "skipped_variants": {"ecg_age": "the cohort has no age | sex."},
        "splits_sha256": "abc123",
    }


def _card(variant):
    chain = {"duration_seconds": 10.0, "low_cut_hz": 0.5, "high_cut_hz": 40.0, "pad_short": False}
    settings = {
        "n_epochs": 7,
        "patience": 3,
        "batch_size": 16,
        "learning_rate": 0.001,
        "weight_decay": 0.01,
        "seed": 5,
        "architecture": {"stage_blocks": [1, 1, 1, 1], "dropout": 0.3},
    }
    about = {"penalty_c": 0.5} if variant == "clinical" else {"n_weights": 25945, "n_epochs": 4}
    return about | {
        "model_file": "model.keras",
        "sha256": f"sha-of-{variant}",
        "signal_chain": chain,
        "leads": ["I", "II"],
        "rate_hz": 100,
        "licence": "the owner's",
        "precision": "float32",
        "covariate_names": ["age_years"] if variant == "clinical" else [],
        "settings": settings,
        "recalibration": "none",
        "threshold": {"value": 0.25, "rule": "youden", "chosen_on": "inner validation patients"},
        "trained_on": {"cohort": "own"},
    }


def _write_data(run):
    identifiers = [f"{CANARY}-{row}" for row in range(N)]
    patients = pd.DataFrame(
        {"patient_id": identifiers, "outcome": [1, 0, 0] * 4, "duration_days": 400.0}
    )
    records = pd.DataFrame(
        {
            "record_id": [f"{CANARY}-R{row}" for row in range(N)],
            "patient_id": identifiers,
            "recorded_at": pd.date_range("2015-03-01", periods=N, freq="31D"),
            "source_format": "WFDB",
            "quality": ["flagged: noise: V1"] * 2 + ["good"] * (N - 2),
            "suspicions": "",
            "file_sha256": [f"f{row}" for row in range(N)],
            "signal_row": range(N),
            **dict.fromkeys(("proof_unit", "proof_scale", "proof_leads"), "checked"),
            **dict.fromkeys(("rate_hz", "quality_index", "heart_rate_bpm"), 500.0),
            **dict.fromkeys(("valid_start", "valid_stop"), 0),
            "days_from_index": -10.0,
        }
    )
    folds = [
        {"patient_id": p, "repeat": 0, "fold": fold, "inner_fold": -1, "role": role}
        for fold in (0, 1)
        for row, p in enumerate(identifiers)
        for role in ["test" if row % 2 == fold else "train"]
    ]
    rejected = pd.DataFrame({"record_id": [f"{CANARY}-X"], "reason": ["no leads"]})
    one = {"characteristic": ["Age, years, median"], "overall": ["48.5"], "missing": ["2 (17%)"]}
    run.write_document("dataset", _dataset())
    steps = [("read", 15), ("outcome known", N), ("analysed", N)]
    run.write_document(
        "flow",
        {
            "steps": [
                {"step": s, "n_patients": n, "n_records": n, "reason": f"reason {s}"}
                for s, n in steps
            ]
        },
    )
    tables = {"patients": patients, "records": records, "splits": pd.DataFrame(folds)}
    tables |= {"rejected": rejected, "table_one": pd.DataFrame(one)}
    for name, table in tables.items():
        run.write_table(name, table)


def _write_model(run, variant):
    splits, card = run.read_table("splits"), _card(variant)
    run.write_document("training", {"covariate_names": card["covariate_names"]}, variant)
    run.write_table("history", pd.DataFrame({"repeat": [0, 0], "fold": [0, 1]}), variant)
    scores = splits.assign(
        record_id=splits["patient_id"], seed=0, variant=variant, target="sva", horizon_days=365
    )
    scores = scores.assign(y_true=0, y_score=0.1)
    run.write_table("predictions", scores, variant)
    (run.directory / f"02_models/{variant}/card.json").write_text(json.dumps(card))
    if variant == "clinical":
        model = {"names": ["age_years"], "coefficients": [-0.5], "mean": [49.0], "scale": [14.0]}
        path = run.directory / "02_models/clinical/clinical_model.json"
        path.write_text(json.dumps(model | {"intercept": -2.0}))


def _write_results(run):
    metrics = [
        {"variant": variant, "metric": metric, "estimate": estimate}
        for variant, estimate in (("clinical", 0.81), ("ecg", 0.64))
        for metric in ("auroc_mean_within_fold", "calibration_slope", "ici")
    ]
    common = {"target": "sva", "level": "patient", "subgroup": "all", "method": "bootstrap"}
    common |= {"threshold": float("nan"), "ci_low": 0.5, "ci_high": 0.9, "n": N, "n_events": 4}
    run.write_table("metrics", pd.DataFrame(metrics).assign(**common))
    pair = {"new": "ecg", "reference": "clinical", "is_primary": True, "estimate": -0.17}
    pair |= {"metric": "delta_auroc_mean_within_fold", "method": "paired", "p_value": 0.5}
    run.write_table(
        "comparisons", pd.DataFrame([pair | {k: common[k] for k in ("threshold", "ci_low")}])
    )
    table = run.read_table("comparisons").assign(ci_high=0.9)
    run.write_table("comparisons", table)
    sizes = {"expected_auroc": [0.7], "n_parameters": [8], "half_width": [0.18]}
    sizes |= {"supported_parameters": [1], "needed_patients": [1204], "needed_events": [155]}
    run.write_table("sample_size", pd.DataFrame(sizes))
    claim = {"sentence": "Inconclusive: four events.", "margin": 0.05, "warnings": ["Only 4."]}
    run.write_document("claim", claim | {"intervals": "95% intervals."})
    curve = run.directory / "03_evaluation/figures/3_net_benefit.csv"
    curve.parent.mkdir()
    row = "ecg,model,0.1,0.0123,-0.01,0.04\necg,all,0.1,0.5,0.4,0.6\n"
    curve.write_text(f"variant,strategy,threshold,net_benefit,ci_low,ci_high\n{row}")
    made = {"commit": "c0ffee", "python": "3.11.7", "packages": {"keras": "3.15.1"}}
    steps = {
        "01_prepare_data": {"parameters": {"seed": 42, "data_root": f"/home/{CANARY}"}},
        "03_evaluate": {"made_with": made},
    }
    record = {"schema_version": 2, "steps": steps, "files": {}}
    (run.directory / "run.json").write_text(json.dumps(record))


@pytest.fixture(scope="module")
def written_run(tmp_path_factory):
    """Return a run of two variants, written by hand; identifiers are canaries."""
    run = Artifacts(tmp_path_factory.mktemp("written") / "run")
    _write_data(run)
    for variant in ("clinical", "ecg"):
        _write_model(run, variant)
    _write_results(run)
    return run.directory


@pytest.fixture
def run(written_run, tmp_path):
    """Return a copy of the run that a test may change."""
    return Artifacts(shutil.copytree(written_run, tmp_path / "run"))


def entries(run, name="tripod_ai", answers=None):
    filled = fill(load_checklist(name), RunFacts(run), answers or {})
    return {entry.item.id: entry for entry in filled}


def text_of(run, item, name="tripod_ai"):
    return "\n".join(entries(run, name)[item].lines)


def test_tripod_has_its_27_items_and_52_with_subitems():
    items = load_checklist("tripod_ai").items
    assert len(items) == 52
    assert {int(re.sub("[a-z]", "", item.id)) for item in items} == set(range(1, 28))
    letters = {"18": "abcdef", "12": "abcdefg", "20": "abc", "27": "abc", "23": "ab", "5": "ab"}
    for number, expected in letters.items():
        found = [i.id.removeprefix(number) for i in items if re.fullmatch(number + "[a-z]", i.id)]
        assert "".join(found) == expected


def test_probast_has_16_questions_on_development_and_18_on_evaluation():
    items = load_checklist("probast_ai").items
    questions = [item.id for item in items if item.kind == "question"]
    per_domain = {"D": (3, 4, 4, 5), "E": (3, 4, 4, 7)}
    for part, numbers in per_domain.items():
        for domain, n in enumerate(numbers, 1):
            expected = [f"{part}{domain}.{k}" for k in range(1, n + 1)]
            assert [q for q in questions if q.startswith(f"{part}{domain}.")] == expected
    assert len(questions) == 34


@pytest.mark.parametrize("name", [*CHECKLISTS, MODEL_CARD])
def test_every_item_has_its_parts_and_known_sources(name):
    items = load_checklist(name).items
    for item in items:
        assert item.id
        assert item.section
        assert item.ask
        assert set(item.sources) <= set(FACTS)
    assert len({(item.section, item.topic, item.ask) for item in items}) == len(items)


def test_ids_are_unique_over_all_lists_and_every_fact_is_used():
    items = [item for name in (*CHECKLISTS, MODEL_CARD) for item in load_checklist(name).items]
    assert len(known_items()) == len(items)
    assert {source for item in items for source in item.sources} == set(FACTS)


def test_everything_a_whole_run_can_say_is_found(run):
    for _, _, filled in filled_lists(run, {}):
        for entry in filled:
            assert not [text for text in entry.to_write if "not in this run" in text], entry


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("20a", "12 patients: 4 with the event, 8 without; 12 ECGs."),
        ("11", "Outcome not known (reason outcome known): 3 of 15 patients, left out"),
        ("11", "A missing covariate counts as its mean among the training patients"),
        ("12b", "Numbers enter the clinical model linearly"),
        ("11", "Age: missing in 2 (17%) patients"),
        ("5b", "ECGs recorded from 2015-03 to 2016-02"),
        ("7", "1 ECG files refused; of the 12 kept, 2 flagged"),
        ("12a", "2 splits of patients, seed 42; checksum of the split (sha256) abc123"),
        ("12c", "blocks 1-1-1-1, 25,945 weights"),
        ("15", "ECG: risk 0.250, rule youden"),
        ("10", "would need 1204 patients with 155 events"),
        ("21", "Repeat 0, fold 0, test: 6 patients, 2 events"),
        ("22", "log odds of the event = -2.0000 -0.5000 × (age_years − 49) / 14"),
        ("18f", "Commit c0ffee; Python 3.11.7; keras 3.15.1."),
        ("23a", "ECG, 12 patients, 4 events: AUROC, mean within folds (primary) 0.640 (0.500 to"),
        ("23a", "ECG − Clinical model (LASSO), AUROC, mean within folds (primary): -0.170"),
        ("23a", "ECG, net benefit at risk 10%: 0.012 (-0.010 to 0.040)"),
        ("25", "Inconclusive: four events."),
    ],
)
def test_items_say_what_the_artifacts_say(run, item, said):
    assert said in text_of(run, item)


def test_a_changed_artifact_changes_the_text(run):
    metrics = run.read_table("metrics")
    metrics.loc[metrics["variant"] == "ecg", "estimate"] = 0.777
    run.write_table("metrics", metrics)
    run.write_document("dataset", _dataset() | {"n_events": 5})
    write_reporting(run)
    page = (run.directory / "TRIPOD_AI.md").read_text()
    assert "(primary) 0.777 (" in page
    assert "5 with the event, 7 without" in page
    assert "(primary) 0.640 (" not in page


def test_only_facts_that_decide_propose_an_answer(run):
    found = entries(run, "probast_ai")
    proposed = {name: entry.proposed for name, entry in found.items() if entry.proposed}
    assert proposed == {
        "D4.1": "probably no",
        "D4.4": "not applicable",
        "D4.5": "yes",
        "E4.1": "yes",
        "E4.4": "not applicable",
        "E4.5": "yes",
        "E4.6": "probably yes",
        "E4.7": "yes",
    }
    for entry in found.values():  # a proposal stays open until a reader confirms it
        assert entry.status != FILLED
        assert entry.to_write
        if entry.item.kind == "judgement":
            assert not entry.lines


def test_a_patient_on_both_sides_turns_the_answer(run):
    splits = run.read_table("splits")
    extra = splits.iloc[[0]].assign(role="train")
    run.write_table("splits", pd.concat([splits, extra], ignore_index=True))
    entry = entries(run, "probast_ai")["E4.5"]
    assert entry.proposed == "no"
    assert "1 of 12 test patients also among the training patients" in entry.lines[0]


def test_one_file_under_two_patients_turns_the_answer(run):
    run.write_table("records", run.read_table("records").assign(file_sha256="same"))
    entry = entries(run, "probast_ai")["E4.5"]
    assert entry.proposed == "no"
    assert "1 ECG files filed under more than one patient" in entry.lines[0]


def test_scores_of_other_patients_turn_the_answer(run):
    splits = run.read_table("splits")
    run.write_table("splits", splits[splits["fold"] == 0])
    assert entries(run, "probast_ai")["E4.1"].proposed == "no"


def test_a_fold_that_was_not_fitted_takes_the_proposal_back(run):
    run.write_table("history", pd.DataFrame({"repeat": [0], "fold": [0]}), "ecg")
    entry = entries(run, "probast_ai")["E4.6"]
    assert entry.proposed == ""
    assert "ECG: fitted anew in 1 of 2 splits" in entry.lines


def test_without_calibration_the_measures_are_not_called_suitable(run):
    metrics = run.read_table("metrics")
    run.write_table("metrics", metrics[metrics["metric"] != "calibration_slope"])
    assert entries(run, "probast_ai")["E4.7"].proposed == ""


def test_class_weights_are_named_and_nothing_is_proposed(run):
    card = _card("ecg")
    card["settings"]["class_weights"] = "balanced"
    (run.directory / "02_models/ecg/card.json").write_text(json.dumps(card))
    entry = entries(run, "probast_ai")["D4.4"]
    assert entry.lines == ("ECG: class_weights = balanced",)
    assert entry.proposed == ""


def test_status_of_an_item(run):
    found = entries(run)
    expected = {"12a": FILLED, "5a": PARTLY, "18a": TO_FILL, "20c": NOT_APPLICABLE}
    assert {name: found[name].status for name in expected} == expected
    assert found["18a"].to_write == ("funding and the funders' part",)


def test_ethics_is_asked_of_real_patients_and_not_of_simulated_ones(run):
    assert entries(run)["17"].status == TO_FILL
    run.write_document("dataset", _dataset() | {"is_synthetic": True})
    assert entries(run)["17"].status == NOT_APPLICABLE
    for path in write_reporting(run):
        assert "SYNTHETIC DATA" in path.read_text()


def test_a_hold_out_and_another_cohort_are_not_called_the_same(run):
    run.write_document("dataset", _dataset() | {"protocol": "hold_out"})
    assert entries(run)["20c"].status == PARTLY
    assert entries(run, "probast_ai")["E4.6"].proposed == "not applicable"
    run.write_document("dataset", _dataset() | {"cohort": "another"})
    assert entries(run)["16"].status == TO_FILL
    assert entries(run)["16"].to_write == ("Differences between development and evaluation data.",)


def test_subgroups_are_shown_with_their_counts_or_as_not_computable(run):
    metrics = run.read_table("metrics")
    rows = metrics[(metrics["variant"] == "ecg") & (metrics["metric"].str.startswith("auroc"))]
    rows = rows.assign(metric="auroc_pooled")
    rows = pd.concat([rows.assign(subgroup=name, n=6, n_events=2) for name in ("men", "women")])
    rows["estimate"] = [0.7, float("nan")]
    rows["ci_low"] = float("nan")
    run.write_table("metrics", pd.concat([metrics, rows]))
    said = text_of(run, "14").splitlines()
    assert said == [
        "ECG, men (6 patients, 2 events): AUROC 0.70 (no interval)",
        "ECG, women (6 patients, 2 events): AUROC not computable",
    ]


@pytest.mark.parametrize(
    ("path", "items"),
    [
        ("03_evaluation/claim.json", ["25", "26", "4"]),
        ("03_evaluation/metrics.csv", ["23a", "12e"]),
        ("03_evaluation/figures/3_net_benefit.csv", ["23a"]),
        ("02_models/ecg/card.json", ["12c", "15", "22"]),
        ("01_data/splits.parquet", ["12a", "21"]),
        ("run.json", ["18f"]),
    ],
)
def test_a_missing_artifact_is_flagged_by_name(run, path, items):
    (run.directory / path).unlink()
    found = entries(run)
    for item in items:
        assert found[item].status in (PARTLY, TO_FILL)
        assert f"not in this run as needed: {path}" in found[item].to_write
    assert write_reporting(run)


def test_a_document_of_an_older_version_is_flagged(run):
    old = {name: value for name, value in _dataset().items() if name != "splits_sha256"}
    run.write_document("dataset", old)
    (text,) = entries(run)["12a"].to_write
    assert text == (
        "not in this run as needed: the entry 'splits_sha256', which an older version did not write"
    )


def test_clinical_alone_has_its_own_card_and_no_other(run):
    for path in sorted((run.directory / "02_models/ecg").glob("*")):
        path.unlink()
    metrics = run.read_table("metrics")
    run.write_table("metrics", metrics[metrics["variant"] == "clinical"])
    run.write_table("comparisons", run.read_table("comparisons").iloc[:0])
    written = {str(path.relative_to(run.directory)) for path in write_reporting(run)}
    assert written == {"TRIPOD_AI.md", "PROBAST_AI.md", "02_models/clinical/MODEL_CARD.md"}
    card = (run.directory / "02_models/clinical/MODEL_CARD.md").read_text()
    assert "Sees no ECG." in card
    assert "one-dimensional network" not in card
    assert "No primary comparison" in text_of(run, "4")


def test_a_card_speaks_of_its_own_variant(run):
    write_reporting(run)
    card = (run.directory / "02_models/ecg/MODEL_CARD.md").read_text()
    assert "# Model card: ECG\n" in card
    assert "sha-of-ecg" in card
    assert "sha-of-clinical" not in card
    assert "None: this model sees the ECG only." in card
    assert "missing covariate" not in card
    assert "0.640 (" in card
    assert "0.810 (" not in card


def test_no_identifier_and_no_path_leaves_the_run(run):
    pages = "".join(path.read_text() for path in write_reporting(run))
    pages += "".join(section["table"].to_csv() for section in reporting_sections(run))
    pages += "\n".join(blank_lines(run))
    assert CANARY not in pages
    assert str(run.directory.parent) not in pages


def test_markdown_tables_are_well_formed(run):
    for path in write_reporting(run)[:2]:
        page = path.read_text()
        blocks = re.findall(r"(?:^\|.*\n)+", page, flags=re.M)
        assert len(blocks) == page.count("\n## ")
        n_rows = 0
        for block in blocks:
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(widths) == 1
            n_rows += len(block.splitlines()) - 2
        assert n_rows == 52
    assert "the cohort has no age \\| sex." in (run.directory / "TRIPOD_AI.md").read_text()


def test_every_blank_is_flagged_on_the_page(run):
    write_reporting(run)
    page = (run.directory / "TRIPOD_AI.md").read_text()
    assert page.count(BLANK) == sum(bool(entry.to_write) for entry in entries(run).values())


def test_text_of_a_cell_cannot_break_out():
    assert escaped("a|b\n<b>*c*") == "a\\|b &lt;b>\\*c\\*"


def answer(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_answers_fill_their_items_and_survive(run, tmp_path):
    text = '"17": Approved, number 12/2024.\nE4.5: yes\n18e: "On request: by letter."\n"18a": ""\n'
    keep_answers(run, answer(tmp_path, text))
    keep_answers(run, answer(tmp_path, "'17': Approved, number 13/2024.\ncard.use: Triage.\n"))
    kept = reporting_answers.answers_of(run)
    assert kept == {
        "17": "Approved, number 13/2024.",
        "E4.5": "yes",
        "18e": "On request: by letter.",
        "card.use": "Triage.",
    }
    found = entries(run, answers=kept)
    assert found["17"].status == FILLED
    assert found["17"].to_write == ()
    assert found["18a"].status == TO_FILL
    write_reporting(run)
    assert "Author: Approved, number 13/2024." in (run.directory / "TRIPOD_AI.md").read_text()
    assert "Author: Triage." in (run.directory / "02_models/ecg/MODEL_CARD.md").read_text()
    probast = (run.directory / "PROBAST_AI.md").read_text()
    assert "a reader has answered 1 of them and given 0 of 18 judgements" in probast


def test_what_is_printed_is_an_answer_file(run, tmp_path):
    lines = blank_lines(run)
    assert read_answers(Path(answer(tmp_path, "\n".join(lines)))) == {}
    filled = [line.replace('""', '"low, because"', 1) for line in lines if line.startswith('"D1"')]
    assert read_answers(Path(answer(tmp_path, "\n".join(filled)))) == {"D1": "low, because"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '"17b": x',
            "items in mine.yaml must be those of the checklists, got '17b'. Did you mean 17?",
        ),
        (
            "- a\n- b",
            "mine.yaml must be a table of items and texts, got another structure. Write one item a "
            'line: "17": your text.',
        ),
        (
            '"17": [a]',
            "mine.yaml must be a table of items and texts, got another structure. Write one item a "
            'line: "17": your text.',
        ),
        (
            '"1": a\n"17": b: c',
            "mine.yaml must be YAML, got an error in line 2. Put texts that hold a colon in "
            "quotation marks.",
        ),
        ('"17": a\n"17": b', "item 17 must occur once in mine.yaml, got it twice. Join the texts."),
        (
            "E4.5: certainly",
            "E4.5 in mine.yaml must begin with one of yes, probably yes, probably no, no, no "
            "information, not applicable, got 'certainly'. Give the answer first, then the reason.",
        ),
        (
            "D.overall: yes",
            "D.overall in mine.yaml must begin with one of low, high, unclear, got 'yes'. Give the "
            "answer first, then the reason.",
        ),
    ],
)
def test_bad_answers_are_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_answers(Path(answer(tmp_path, text)))


def test_the_partial_shows_every_item_escaped(run, tmp_path):
    keep_answers(run, answer(tmp_path, '"17": "<script>x</script>"'))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("workflow", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    sections = reporting_sections(run)
    page = environment.get_template("reporting.html.j2").render(reporting=sections)
    assert [section["title"] for section in sections] == [
        "TRIPOD+AI",
        "PROBAST+AI",
        "Model card: Clinical model (LASSO)",
        f"Model card: {VARIANT_NAMES['ecg']}",
    ]
    assert page.count("<details>") == 4
    assert page.count('<td class="item"') == sum(len(section["table"]) for section in sections)
    assert "<script>" not in page
    assert "\\n" not in page


def test_the_command_prints_what_is_to_be_filled(run, tmp_path, capsys):
    words = ["checklist", str(run.directory)]
    assert command.main(words) == 0
    assert '"18a": ""  # funding' in capsys.readouterr().out
    assert (run.directory / "TRIPOD_AI.md").exists()
    own = answer(tmp_path, '"18a": None.')
    assert command.main([*words, "--answers", own]) == 0
    assert '"18a"' not in capsys.readouterr().out


def test_the_command_wants_an_existing_run(tmp_path, capsys):
    assert command.main(["checklist", str(tmp_path / "nothing")]) == 1
    assert "must be a run that has prepared its data" in capsys.readouterr().err


def test_answers_that_are_not_there_or_wrong_stop_before_any_work(run, capsys):
    assert command.main(["checklist", str(run.directory), "--answers", "none.yaml"]) == 1
    assert "--answers must be an existing file, got none.yaml." in capsys.readouterr().err
    (run.directory / "reporting.yaml").write_text('"99": x')
    assert command.main(["run", "--profile", "smoke", "--name", str(run.directory)]) == 1
    assert "must be those of the checklists, got '99'" in capsys.readouterr().err


def test_new_answers_make_report_and_checklists_anew(run, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("workflow.report.write_report", lambda _: written.append("report"))
    monkeypatch.setattr("workflow.report.summary_lines", lambda _: ["summary"])
    (run.directory / "report.html").write_text("page")
    assert command._summary(run).startswith("summary")
    page = run.directory / "TRIPOD_AI.md"
    before = page.read_text()
    command._summary(run)
    assert written == ["report"]
    keep_answers(run, answer(tmp_path, '"18a": None.'))
    command._summary(run)
    assert written == ["report"] * 2
    assert page.read_text() != before
