"""A registry's Excel workbook in Spanish, from its headings to the patients analysed, by hand."""

from dataclasses import replace

import pandas as pd
import pytest
import yaml

from data_processing import outcome
from data_processing.cohort import read_cohort
from data_processing.errors import CohortTableError
from data_processing.flow_figure import plot_flow
from data_processing.mapping import read_mapping
from data_processing.mapping_template import write_template
from data_processing.preparation import prepare_signals
from data_processing.selection import finish_cohort, select_cohort
from data_processing.signals import SignalChain

DATES = {
    "Fecha de nacimiento": "1960-01-10",
    "Fecha RM": "2014-12-20",
    "Fecha DAI": "",
    "Fecha TRC": "",
    "Fecha TV": "",
    "Fecha choque DAI": "",
    "Fecha muerte súbita": "",
    "Fecha éxitus": "",
    "Fecha trasplante": "",
    "Último contacto": "2020-01-01",
    "Fecha inclusión": "2015-01-10",
}
# What each patient differs in from a man with a dilated heart, followed for five years.
PATIENTS = [
    {"Fecha TV": "2016-01-10", "Fecha choque DAI": "2016-06-01", "Fecha DAI": "2014-06-01"},
    {"Fecha choque DAI": "2016-03-01", "Fecha DAI": "2015-06-01"},
    {"Fecha muerte súbita": "2017-01-01", "Fecha éxitus": "2017-01-01"},
    {"Fecha éxitus": "2016-06-01", "Último contacto": "2016-06-01"},
    {"Fecha trasplante": "2016-02-02", "Fecha éxitus": "2018-02-02"},
    {"Etiología": "Isquémica", "Fecha TV": "2016-05-05"},
    {"Etiología": ""},
    {"FEVI (%)": 55.0},
    {"TV previa": 1},
    {"Fecha TV": "2014-12-01"},
    {},  # paced
    {"Fecha TRC": "2014-12-01"},
    {"Último contacto": "2015-12-01"},
    {},  # three ECGs
    {"Fecha de nacimiento": "2000-01-10"},
    {"Fecha RM": ""},
    {"Fecha RM": "2015-03-01"},  # after the index date: not known then
    {"Sexo": "mujer"},
    {"Sexo": "mujer", "Etiología": "Isquémica"},
]
EXCLUSIONS = [
    {"label": "Ischaemic aetiology", "column": "Etiología", "is": ["isquémica", "isquemica"]},
    {"label": "LVEF above 50 %", "column": "lvef_percent", "above": 50},
    {"label": "Under 18", "column": "age_years", "below": 18},
    {"label": "No MRI", "column": "Fecha RM", "is_missing": True},
    {"label": "Paced rhythm", "table": "ecgs", "column": "Ritmo", "is": ["estimulado"]},
]


@pytest.fixture
def registry(tmp_path, make_ecg, write_wfdb):
    """Return the folder of the workbook and its ECG files."""
    rows = []
    for number, differences in enumerate(PATIENTS, 1):
        usual = {"NHC": f"H-{number}", "Sexo": "varón", "Etiología": "Dilatada", "FEVI (%)": 30.0}
        rows.append({**usual, "TV previa": 0, **DATES, **differences})
    patients = pd.DataFrame(rows)
    for column in DATES:
        patients[column] = pd.to_datetime(patients[column])
    days = [(number, "2015-01-02") for number in range(1, len(PATIENTS) + 1)]
    days += [(12, "2014-11-01"), (14, "2015-02-01"), (14, "2013-06-01"), (14, "2014-10-01")]
    ecgs = pd.DataFrame(
        {
            "NHC": [f"H-{number}" for number, _ in days],
            "Fichero": [f"R{k}" for k in range(len(days))],
            "Fecha ECG": pd.to_datetime([day for _, day in days]),
            "Ritmo": ["estimulado" if number == 11 else "sinusal" for number, _ in days],
        }
    )
    folder = tmp_path / "registro"
    for seed, name in enumerate(ecgs["Fichero"]):
        write_wfdb(folder / "ecg" / name, make_ecg(seed))
    write_book(folder, patients, ecgs)
    return folder, patients, ecgs


def write_book(folder, patients, ecgs):
    with pd.ExcelWriter(folder / "Registro.xlsx") as book:
        patients.to_excel(book, sheet_name="Pacientes", index=False)
        ecgs.to_excel(book, sheet_name="ECG", index=False)


def written_mapping(folder, output, **changes):
    """Guess the mapping, add what only a person can know, and read it."""
    assert write_template(folder, output) == []
    content = yaml.safe_load(output.read_text(encoding="utf-8"))
    content |= {"ecgs_with_device": {"crt": "drop"}, "exclusions": EXCLUSIONS, **changes}
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    output.write_text(text, encoding="utf-8")
    return read_mapping(output)


def test_the_columns_of_a_spanish_registry_are_guessed(registry, tmp_path):
    definition, _ = written_mapping(registry[0], tmp_path / "my.yaml")
    assert definition.component_columns == (
        ("sustained_vt", "Fecha TV"),
        ("appropriate_icd_therapy", "Fecha choque DAI"),
        ("sudden_cardiac_death", "Fecha muerte súbita"),
    )
    assert definition.competing_columns == (
        ("death_other", "Fecha éxitus"),
        ("transplant", "Fecha trasplante"),
    )
    assert definition.device_columns == (("icd", "Fecha DAI"), ("crt", "Fecha TRC"))
    assert definition.prior_event_column == "TV previa"
    covariates = {item["name"]: item for item in definition.covariates}
    assert covariates["age_years"]["birth_date"] == "Fecha de nacimiento"
    assert covariates["is_male"]["categories"] == ["mujer", "varón"]
    assert covariates["lvef_percent"]["column"] == "FEVI (%)"


def test_the_flow_of_a_registry_by_hand(registry, tmp_path):
    definition, folder = written_mapping(registry[0], tmp_path / "my.yaml")
    cohort = read_cohort(folder, definition)
    selection = select_cohort(cohort, horizon_days=1095, ecg_choice=(1, "nearest"))
    out = tmp_path / "out"
    records, rejected, _ = prepare_signals(
        selection.records_to_read, SignalChain(), out, n_workers=1
    )
    assert rejected.empty
    patients, records, flow = finish_cohort(selection, records, out, rate_hz=100)
    counts = [
        (row["step"], row["n_patients"], row["n_records"], row["n_events"], row["n_missing"])
        for row in flow
    ]
    assert counts == [
        ("read", 19, 23, 4, 0),  # events within three years: 1, 2, 3 and 6; 10 was too early
        ("Ischaemic aetiology", 17, 21, 3, 1),  # 6 and 19; 7 is empty and kept
        ("LVEF above 50 %", 16, 20, 3, 0),  # 8
        ("Under 18", 15, 19, 3, 0),  # 15
        ("No MRI", 13, 17, 3, 0),  # 16 and 17
        ("Paced rhythm", 13, 16, 3, 0),  # the ECG of 11
        ("no event before the study", 12, 15, 3, 0),  # 9
        ("event-free at index", 11, 14, 3, 0),  # 10
        ("ECG dated", 11, 14, 3, 0),
        ("ECG up to index", 11, 13, 3, 0),  # one of 14
        ("ECG in the baseline window", 11, 12, 3, 0),  # another one of 14
        ("ECG without a CRT device", 11, 11, 3, 0),  # the later one of 12
        ("with an ECG", 10, 11, 3, 0),  # 11
        ("followed after time zero", 10, 11, 3, 0),
        ("ECG readable", 10, 11, 3, 0),
        ("at most 1 ECG a patient", 10, 10, 3, 0),  # the earlier one of 14
        ("analysed", 10, 10, 3, 0),
        ("status at the horizon known", 9, 9, 3, 0),  # 13
    ]
    notes = {row["step"]: row["note"] for row in flow if row["note"]}
    assert notes == {
        "Ischaemic aetiology": "occurs nowhere: isquemica; check the spelling",
        "followed after time zero": "1 lost before 1095 days without an event: status unknown, "
        "kept for the time to event only",
    }
    assert [row["reason"] for row in flow[1:4]] == [
        "Ischaemic aetiology (Etiología is isquémica or isquemica)",
        "LVEF above 50 % (lvef_percent above 50)",
        "Under 18 (age_years below 18)",
    ]
    assert set(patients["age_years"]) == {55.0}
    assert not [name for name in patients if "date" in name or "nacimiento" in name]
    by_name = {row["name"]: row for row in outcome.count_components(patients, definition, 1095)}
    assert {name: row["n_within_horizon"] for name, row in by_name.items()} == {
        "sustained_vt": 1,
        "appropriate_icd_therapy": 1,
        "sudden_cardiac_death": 1,
        "death_other": 1,
        "transplant": 1,
    }
    assert by_name["appropriate_icd_therapy"]["n_any_within_horizon"] == 2  # also after the VT of 1
    assert by_name["death_other"]["n_any_within_horizon"] == 2  # the sudden one is filed there, too
    assert outcome.count_same_day(patients, definition) == 1
    carriage = outcome.events_by_icd(patients, definition)
    assert carriage.loc["sustained_vt"].tolist() == [1, 0, 0]
    assert carriage.loc["appropriate_icd_therapy"].tolist() == [0, 1, 0]
    assert carriage.loc["no event"].tolist() == [0, 0, 5]
    assert sorted(records["device_at_ecg"]) == ["icd"] + ["none"] * 9  # 12 kept the one before CRT
    assert len(plot_flow(flow, components=list(by_name.values())).axes) == 1


def test_one_table_with_a_row_an_ecg_has_the_same_flow(registry, tmp_path):
    folder, patients, ecgs = registry
    two, _ = written_mapping(folder, tmp_path / "two.yaml")
    rows = ecgs.merge(patients, on="NHC")
    is_repeated = rows.duplicated("NHC")
    rows.loc[is_repeated, ["Fecha TRC", "Fecha RM"]] = pd.NaT  # empty contradicts nothing
    one = replace(two, patients_file="one.csv", ecgs_file="one.csv")
    rows.to_csv(folder / "one.csv", index=False)
    flows = [select_cohort(read_cohort(folder, definition)).flow for definition in (two, one)]
    assert flows[1][1:] == flows[0][1:]
    assert flows[1][0]["n_events"] == flows[0][0]["n_events"] == 4
    rows.loc[rows.index[is_repeated][0], "Fecha TRC"] = pd.Timestamp("2010-01-01")
    rows.to_csv(folder / "one.csv", index=False)
    with pytest.raises(CohortTableError, match="Fecha TRC must be the same in all rows of a pat"):
        read_cohort(folder, one)


def test_contradictions_between_dates_are_said_by_row(registry, tmp_path):
    folder, patients, ecgs = registry
    definition, _ = written_mapping(folder, tmp_path / "my.yaml")
    for row, column, day in (
        (3, "Fecha TV", "2017-01-01"),  # after the death of row 5
        (3, "Fecha trasplante", "2014-01-01"),  # before the index date: excluded, no contradiction
        (6, "Fecha TV", "2021-01-01"),  # after the last contact
        (7, "Fecha choque DAI", "2016-01-01"),  # without an ICD
        (9, "Fecha éxitus", "2014-12-24"),  # before the index date, and before nothing else
        (10, "Fecha de nacimiento", "2016-01-01"),
    ):
        patients.loc[row, column] = pd.Timestamp(day)
    patients["TV previa"] = patients["TV previa"].astype(object)
    patients.loc[12, "TV previa"] = pd.Timestamp("2015-02-01")
    patients.loc[13, "TV previa"] = "tal vez"
    write_book(folder, patients, ecgs)
    with pytest.raises(CohortTableError) as error:
        read_cohort(folder, definition)
    lines = str(error.value).splitlines()
    table = "- Registro.xlsx:Pacientes"
    for line in (
        f"{table} row 5: Fecha TV must not be after Fecha éxitus",
        f"{table} rows 5, 8: Último contacto must not be before Fecha TV",
        f"{table} row 9: Fecha choque DAI of an ICD therapy must come with Fecha DAI on or before "
        "it",
        f"{table} row 11: Fecha éxitus must not be before Fecha inclusión",
        f"{table} row 12: Fecha de nacimiento must not be after the index date",
        f"{table} row 14: TV previa must not be after Fecha inclusión, an event then is outcome",
        f"{table} row 15: TV previa must be 1, 0 or a date; for other words write a rule under "
        "exclusions",
    ):
        assert line in lines, line
    assert "tal vez" not in str(error.value)
    assert "row 5: Fecha trasplante" not in str(error.value)


def test_fractions_in_a_column_of_percent_are_refused_until_declared(registry, tmp_path):
    folder, patients, ecgs = registry
    definition, _ = written_mapping(folder, tmp_path / "my.yaml")
    patients["FEVI (%)"] /= 100
    write_book(folder, patients, ecgs)
    with pytest.raises(CohortTableError) as error:
        read_cohort(folder, definition)
    assert "got 1 problem." in str(error.value)
    assert (
        "FEVI (%) must be in %, all values are 1 or less. If they are fractions (Excel stores"
        in (str(error.value))
    )
    covariate = {"name": "lvef_percent", "label": "LVEF", "unit": "%", "kind": "number"}
    covariate |= {"column": "FEVI (%)", "low": 5, "high": 85, "unit_in_table": "fraction"}
    born = {
        "name": "age_years",
        "kind": "number",
        "unit": "years",
        "birth_date": "Fecha de nacimiento",
    }
    (tmp_path / "my.yaml").unlink()
    definition, _ = written_mapping(folder, tmp_path / "my.yaml", covariates=[covariate, born])
    cohort = read_cohort(folder, definition)
    assert sorted(cohort.patients["FEVI (%)"].round(6).unique()) == [30, 55]
    step = select_cohort(cohort).flow[2]
    assert (step["step"], step["n_patients"]) == ("LVEF above 50 %", 16)  # judged in percent
