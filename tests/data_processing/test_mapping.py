"""A folder of one's own: what is guessed from its tables, and what a wrong one is told."""

import re

import pandas as pd
import pytest
import yaml

from data_processing.cohort import nicm_definition, read_cohort, read_hospital_folder
from data_processing.covariates import NICM_COVARIATES
from data_processing.errors import CohortTableError, MappingError
from data_processing.event_words import guess_event_dates
from data_processing.mapping import read_mapping
from data_processing.mapping_template import write_template
from data_processing.mapping_words import Column
from data_processing.preparation import prepare_signals
from data_processing.selection import finish_cohort, select_cohort
from data_processing.signals import SignalChain
from data_processing.sources import open_cohort
from data_processing.synthetic import SyntheticSettings, write_hospital_folder

N = 12


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """Return a simulated hospital's folder."""
    folder = tmp_path_factory.mktemp("own") / "hospital"
    settings = SyntheticSettings(n_patients=60, effect_size=1.0, horizon_days=1095, seed=0)
    return write_hospital_folder(folder, settings)


@pytest.fixture
def german(tmp_path):
    """Return German tables: semicolons, decimal commas, dates with points, umlauts."""
    patients = pd.DataFrame(
        {
            "Patienten-ID": [f"KLINIK-{k}" for k in range(N)],
            "Nachname": ["Müller", "Schmidt"] * 6,
            "Geburtsdatum": [f"{k + 10}.05.1950" for k in range(N)],
            "Alter (Jahre)": [f"{50 + k},5" for k in range(N)],
            "Geschlecht": ["männlich", "weiblich"] * 6,
            "LVEF (%)": [str(25 + k) for k in range(N)],
            "LGE": ["ja", "nein"] * 6,
            "NYHA": [str(1 + k % 3) for k in range(N)],
            "Rhythmus": ["Sinus", "Vorhofflimmern", "Sinus"] * 4,
            "Bemerkung": [f"ruft an unter 0151{k}" for k in range(N)],
            "Behandelnder Arzt": ["Weber", "Wagner"] * 6,
            "Ereignis": ["VT", "", "Tod", "", "VT", "", "", "Tod", "", "", "", ""],
            "Ereignisdatum": [
                "13.06.2016",
                "",
                "14.06.2016",
                "",
                "15.06.2016",
                "",
                "",
                "16.06.2016",
            ]
            + [""] * 4,
            "Letzter Kontakt": "31.12.2019",
            "Einschlussdatum": "10.01.2015",
        }
    )
    ecgs = pd.DataFrame(
        {
            "Patienten-ID": patients["Patienten-ID"],
            "EKG-Datei": [f"E{k}" for k in range(N)],
            "EKG-Datum": "02.01.2015",
        }
    )
    return patients, ecgs


@pytest.fixture
def combined():
    """Return one table with one row an ECG: two ECGs a patient, undated, outcome 0/1."""
    row = [k // 2 for k in range(2 * N)]
    return pd.DataFrame(
        {
            "pid": [f"KLINIK-{k}" for k in row],
            "filename": [f"E{k}" for k in range(2 * N)],
            "age": [str(40 + k) for k in row],
            "sex": [["f", "m"][k % 2] for k in row],
            "EF": [str(25 + k) for k in row],
            "outcome": [str(int(k % 3 == 0)) for k in row],
        }
    )


def put_headers(folder, names):
    """Write headers without samples: enough for everything that comes before the reading."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.hea").write_text(f"{name} 12 100 1000\n")


def mapping_of(folder, output, **tables):
    """Write the template and return its text and what the reader makes of it."""
    needed = write_template(folder, output, **tables)
    text = output.read_text(encoding="utf-8")
    return text, needed


def corrected(output, **changes):
    """Change top-level keys or blocks of a mapping and write it again."""
    content = yaml.safe_load(output.read_text(encoding="utf-8"))
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    output.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return output


def test_the_template_of_the_simulated_hospital_is_right_and_reads_back(synthetic, tmp_path):
    text, needed = mapping_of(synthetic, tmp_path / "my.yaml")
    assert needed == []
    definition, folder = read_mapping(tmp_path / "my.yaml")
    assert folder.resolve() == synthetic.resolve()
    assert definition.covariates == NICM_COVARIATES
    assert definition.is_synthetic
    assert set(definition.event_types) >= {"sustained_vt", "appropriate_icd_therapy"}
    assert definition.competing_types == ("death_other",)
    assert definition.index_date_column == "index_date"
    assert definition.covariates_date_column == "covariates_date"
    assert definition.device_columns == (("icd", "icd_date"),)
    for line in text.splitlines():
        if re.match(r"  (patient|ecg_file|ecg_date|event_type|event_date|last_contact):", line):
            assert re.search(r"# guessed from the .*: check$", line), line


def test_a_mapping_reads_the_same_patients_and_records_as_the_folder_cohort(
    parameters, synthetic, tmp_path
):
    write_template(synthetic, tmp_path / "my.yaml")
    own = open_cohort(parameters(str(tmp_path / "my.yaml")), private_directory=tmp_path)
    folder = read_hospital_folder(synthetic, nicm_definition(is_synthetic=True))
    pd.testing.assert_frame_equal(own.patients, folder.patients)
    columns = ["record_id", "patient_id", "recorded_at", "table_row"]
    pd.testing.assert_frame_equal(own.records[columns], folder.records[columns])
    assert own.definition.name == "my"
    assert "cardiomyopathy" not in own.definition.title
    pd.testing.assert_frame_equal(select_cohort(own).patients, select_cohort(folder).patients)


def test_the_folder_can_be_named_elsewhere(parameters, synthetic, tmp_path):
    write_template(synthetic, tmp_path / "my.yaml")
    corrected(tmp_path / "my.yaml", folder="nowhere")
    elsewhere = parameters(str(tmp_path / "my.yaml"), data_root=str(synthetic))
    assert len(open_cohort(elsewhere, private_directory=tmp_path).patients) == 60
    with pytest.raises(FileNotFoundError, match=r"cohort folder must hold patients.csv"):
        open_cohort(parameters(str(tmp_path / "my.yaml")), private_directory=tmp_path)


def test_a_german_table_with_semicolons_is_guessed_and_read(german, tmp_path):
    patients, ecgs = german
    put_headers(tmp_path / "klinik" / "ekg", ecgs["EKG-Datei"])
    patients.to_csv(tmp_path / "klinik" / "Patienten.csv", sep=";", index=False, encoding="utf-8")
    ecgs.to_csv(tmp_path / "klinik" / "EKGs.csv", sep=";", index=False, encoding="utf-8-sig")
    text, needed = mapping_of(tmp_path / "klinik", tmp_path / "my.yaml")
    assert needed == []
    definition, folder = read_mapping(tmp_path / "my.yaml")
    assert (definition.patients_file, definition.ecgs_file) == ("Patienten.csv", "EKGs.csv")
    assert definition.patient_column == "Patienten-ID"
    assert definition.ecg_file_column == "EKG-Datei"
    assert definition.date_format == "dmy"
    assert (definition.event_types, definition.competing_types) == (("vt",), ("tod",))
    kinds = {item["name"]: item for item in definition.covariates}
    assert list(kinds) == ["age_years", "is_male", "lvef_percent", "lge_present"]
    assert kinds["is_male"]["categories"] == ["weiblich", "männlich"]
    assert kinds["lge_present"]["categories"] == ["nein", "ja"]
    assert "#  - name: rhythmus" in text  # others wait for the user to say when they were known
    assert "#    kind: number" in text
    cohort = read_cohort(folder, definition)
    assert cohort.patients["Alter (Jahre)"].min() == 50.5
    assert cohort.patients["index_date"].eq(pd.Timestamp("2015-01-10")).all()
    assert select_cohort(cohort).patients["outcome"].sum() == 2


def test_nothing_of_a_patient_is_in_the_mapping(german, tmp_path):
    patients, ecgs = german
    put_headers(tmp_path / "klinik", ecgs["EKG-Datei"])
    patients.to_csv(tmp_path / "klinik" / "Patienten.csv", sep=";", index=False)
    ecgs.to_csv(tmp_path / "klinik" / "EKGs.csv", sep=";", index=False)
    text, _ = mapping_of(tmp_path / "klinik", tmp_path / "my.yaml")
    for private in (
        "KLINIK",
        "Müller",
        "Schmidt",
        "Weber",
        "1950",
        "01.2015",
        "2016",
        "0151",
        "ruft",
    ):
        assert private not in text, private
    for column in ("Nachname", "Geburtsdatum", "Bemerkung", "Behandelnder Arzt"):
        assert f'#   "{column}"' in text
    assert "E11" not in text


def test_a_word_that_only_one_patient_has_is_not_shown(combined, tmp_path):
    combined["Station"] = ["A", "B"] * (N - 1) + ["Huber", "Huber"]
    combined["sex"] = combined["sex"].where(combined["pid"] != "KLINIK-3", "Meier")
    put_headers(tmp_path, combined["filename"])
    combined.to_csv(tmp_path / "table.csv", index=False)
    text, _ = mapping_of(tmp_path, tmp_path / "my.yaml")
    assert "Huber" not in text
    assert "Meier" not in text
    assert "[f, m]" in text
    assert "1 that only one patient has are not shown" in text


def test_an_excel_workbook_with_two_sheets_is_guessed_and_read(german, tmp_path):
    patients, ecgs = german
    put_headers(tmp_path / "klinik" / "ekg", ecgs["EKG-Datei"])
    patients["Einschlussdatum"] = pd.Timestamp("2015-01-10")
    patients["LVEF (%)"] = patients["LVEF (%)"].astype(float)
    with pd.ExcelWriter(tmp_path / "klinik" / "Studie.xlsx") as book:
        patients.to_excel(book, sheet_name="Patienten", index=False)
        ecgs.to_excel(book, sheet_name="EKG", index=False)
    _, needed = mapping_of(tmp_path / "klinik", tmp_path / "my.yaml")
    assert needed == []
    definition, folder = read_mapping(tmp_path / "my.yaml")
    assert definition.patients_file == "Studie.xlsx:Patienten"
    assert definition.ecgs_file == "Studie.xlsx:EKG"
    cohort = read_cohort(folder, definition)
    assert cohort.patients["LVEF (%)"].max() == 36
    assert cohort.patients["index_date"].eq(pd.Timestamp("2015-01-10")).all()
    patients.loc[3, "LVEF (%)"] = 250
    with pd.ExcelWriter(tmp_path / "klinik" / "Studie.xlsx") as book:
        patients.to_excel(book, sheet_name="Patienten", index=False)
        ecgs.to_excel(book, sheet_name="EKG", index=False)
    message = r"Studie.xlsx:Patienten row 5: LVEF \(%\) must be between 5 and 85"
    with pytest.raises(CohortTableError, match=message):
        read_cohort(folder, definition)


def test_one_table_with_a_row_an_ecg_is_guessed_and_read(combined, tmp_path):
    put_headers(tmp_path / "data" / "deep" / "down", combined["filename"])
    combined.to_csv(tmp_path / "data" / "table.csv", index=False)
    text, needed = mapping_of(tmp_path / "data", tmp_path / "my.yaml")
    assert needed == []
    assert "one table with one row an ECG: guessed" in text
    definition, folder = read_mapping(tmp_path / "my.yaml")
    assert definition.has_one_table
    assert not definition.has_dates
    assert definition.target == "outcome"
    cohort = read_cohort(folder, definition)
    assert (len(cohort.patients), len(cohort.records)) == (N, 2 * N)
    assert cohort.records["recorded_at"].isna().all()
    assert all(path.endswith(".hea") for path in cohort.records["path"])
    selection = select_cohort(cohort)
    assert selection.patients["outcome"].sum() == 4
    assert selection.flow[-1]["n_patients"] == N


def test_coded_sex_is_asked_for_and_never_assumed(combined, tmp_path):
    combined["sex"] = combined["sex"].map({"f": "1", "m": "0"})
    put_headers(tmp_path, combined["filename"])
    combined.to_csv(tmp_path / "table.csv", index=False)
    _, needed = mapping_of(tmp_path, tmp_path / "my.yaml")
    assert needed == ["categories"]
    with pytest.raises(MappingError, match=r"covariates\[2\].categories must be the words for 0"):
        read_mapping(tmp_path / "my.yaml")


def test_what_cannot_be_guessed_is_empty_and_asked_for(tmp_path):
    table = pd.DataFrame({"x": ["p", "q"], "y": ["2", "3"]})
    table.to_csv(tmp_path / "table.csv", index=False)
    text, needed = mapping_of(tmp_path, tmp_path / "my.yaml")
    assert needed == ["patient", "ecg_patient", "ecg_file", "column"]
    assert "  patient:  # needed: the column of the patient's number" in text
    with pytest.raises(MappingError) as error:
        read_mapping(tmp_path / "my.yaml")
    assert "got 3 problems" in str(error.value)
    assert "outcome.column must be given: 0/1, or instead event_type" in str(error.value)


HEADINGS = {
    "sustained_vt": ("VT date", "Datum der VT", "Fecha TVS", "Date de TV"),
    "appropriate_icd_therapy": ("ICD_shock_date", "ICD-Schock-Datum", "Fecha descarga DAI"),
    "sudden_cardiac_death": ("SCD date", "Datum plötzlicher Herztod", "Date mort subite"),
    "death_other": ("Date of death", "Todesdatum", "Fecha éxitus", "Date de décès"),
    "transplant": ("HTx date", "HTX-Datum", "Fecha trasplante", "Date greffe"),
    "lvad": ("LVAD date", "Datum LVAD", "Fecha LVAD"),
    "icd": ("ICD implantation date", "Datum ICD-Implantation", "Fecha DAI", "Date DAI"),
    "crt": ("CRT date", "CRT-Datum", "Fecha TRC", "Date resynchronisation"),
    "pacemaker": ("Pacemaker date", "Schrittmacher-Datum", "Fecha marcapasos"),
    "prior_event": ("Prior SVA", "VT in Anamnese", "TV previa", "Antécédent TV"),
    "birth_date": ("Date of birth", "Geburtsdatum", "Fecha de nacimiento", "Date de naissance"),
}


@pytest.mark.parametrize("name", HEADINGS)
def test_the_dates_of_events_and_devices_are_known_by_their_headings(name):
    for heading in HEADINGS[name]:
        found = guess_event_dates([Column(heading, "date"), Column("Datum", "date")])
        places = {**found.components, **found.competing, **found.devices}
        places |= {"prior_event": found.prior_event, "birth_date": found.birth_date}
        known = {key: column for key, column in places.items() if column}
        assert known == {name: heading}
        assert found.headings == {heading}
        assert not guess_event_dates([Column(heading, "number")]).headings


def test_dates_that_could_be_read_two_ways_are_asked_for(german, tmp_path):
    patients, ecgs = german
    put_headers(tmp_path, ecgs["EKG-Datei"])
    for column in ("Ereignisdatum", "Letzter Kontakt", "Einschlussdatum", "Geburtsdatum"):
        patients[column] = patients[column].where(patients[column] == "", "03/04/2015")
    patients.to_csv(tmp_path / "p.csv", index=False)
    ecgs.assign(**{"EKG-Datum": "02/01/2015"}).to_csv(tmp_path / "e.csv", index=False)
    text, needed = mapping_of(tmp_path, tmp_path / "my.yaml")
    assert needed == ["date_format"]
    assert "date_format:  # needed: iso (2015-12-31), dmy" in text


def test_a_template_never_overwrites_and_says_where_there_is_nothing(synthetic, tmp_path):
    (tmp_path / "my.yaml").write_text("title: mine\n")
    with pytest.raises(MappingError, match=r"output must be a new file, got 'my.yaml'"):
        write_template(synthetic, tmp_path / "my.yaml")
    with pytest.raises(MappingError, match="folder must be an existing folder"):
        write_template(tmp_path / "nowhere", tmp_path / "new.yaml")
    with pytest.raises(MappingError, match="folder must hold 1 to 30 tables"):
        write_template(tmp_path, tmp_path / "new.yaml")
    with pytest.raises(MappingError, match="table must be a file of the folder, got"):
        write_template(synthetic, tmp_path / "new.yaml", patients="p.csv")


def test_a_table_without_heading_is_refused_and_never_shown(combined, tmp_path):
    put_headers(tmp_path, combined["filename"])
    combined.to_csv(tmp_path / "table.csv", index=False)
    write_template(tmp_path, tmp_path / "my.yaml")
    definition, folder = read_mapping(tmp_path / "my.yaml")
    combined.to_csv(tmp_path / "table.csv", index=False, header=False)
    with pytest.raises(MappingError, match=r"table.csv must have a heading and rows") as guessed:
        write_template(tmp_path, tmp_path / "new.yaml")
    with pytest.raises(CohortTableError, match="its first row seems to hold values") as read:
        read_cohort(folder, definition)
    assert "KLINIK" not in f"{guessed.value}{read.value}"


def test_a_table_that_is_not_utf_8_is_refused_with_what_to_do(german, tmp_path):
    german[0].to_csv(tmp_path / "p.csv", sep=";", index=False, encoding="cp1252")
    with pytest.raises(MappingError, match=r"p.csv must be a UTF-8 table .* Save it as CSV UTF-8"):
        write_template(tmp_path, tmp_path / "my.yaml")


def test_one_table_may_have_dates_and_events(combined, tmp_path):
    number = [k // 2 for k in range(2 * N)]
    combined = combined.drop(columns="outcome").assign(
        recorded_at=["2014-06-01", "2014-12-01"] * N,
        index_date="2015-01-01",
        event_type=["vt" if k < 4 else "death" if k < 6 else "none" for k in number],
        event_date=["2016-01-01" if k < 6 else "" for k in number],
        last_contact_date="2020-01-01",
    )
    put_headers(tmp_path, combined["filename"])
    combined.to_csv(tmp_path / "table.csv", index=False)
    assert write_template(tmp_path, tmp_path / "my.yaml") == []
    definition, folder = read_mapping(tmp_path / "my.yaml")
    assert definition.no_event_types == ("none",)
    combined["age"] = [str(50 + k // 2 + k % 2) for k in range(2 * N)]  # a birthday in between
    combined.to_csv(tmp_path / "table.csv", index=False)
    selection = select_cohort(read_cohort(folder, definition))
    assert selection.patients["event"].value_counts().to_dict() == {0: 6, 1: 4, 2: 2}
    assert selection.patients["age"].min() == 51  # at the last ECG up to the index date
    combined.loc[5, "event_date"] = "2017-01-01"
    combined.loc[7, "event_type"] = "none"
    combined.to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(CohortTableError) as error:
        read_cohort(folder, definition)
    lines = str(error.value).splitlines()
    assert "- table.csv row 9: event_date must come with event_type, which says no event" in lines
    rule = "must be the same in all rows of a patient, here it differs"
    assert f"- table.csv row 7: event_date {rule}" in lines


def test_named_tables_win(synthetic, tmp_path):
    (synthetic / "decoy.csv").write_text("patient_id,age,sex,lvef,lge,outcome\n1,2,m,30,1,1\n")
    try:
        write_template(synthetic, tmp_path / "my.yaml", patients="patients.csv", ecgs="ecgs.csv")
    finally:
        (synthetic / "decoy.csv").unlink()
    definition, _ = read_mapping(tmp_path / "my.yaml")
    assert definition.source_files == ("patients.csv", "ecgs.csv")


WRONG = {
    "'tilte' is not a key. Did you mean 'title'?": ("title: My", "tilte: My"),
    "columns: 'ecg_fiel' is not a key. Did you mean 'ecg_file'?": ("  ecg_file:", "  ecg_fiel:"),
    "columns.ecg_file must be given": ("  ecg_file:", "  ecg_fiel:"),
    "title must be given: the heading of figures and report": ("title: My", "tilte: My"),
    "target must be lower-case letters": ("target: event", "target: Event VT"),
    "date_format must be one of iso, dmy, mdy, got 'isoo'. Did you mean 'iso'?": (
        "date_format: iso",
        "date_format: isoo",
    ),
    "missing_files must be one of stop, reject": ("missing_files: stop", "missing_files: 3"),
    "covariates[1].kind must be number for age_years, got 'binary'": (
        "kind: number",
        "kind: binary",
    ),
    "covariates[3].low must be below high": ("    low: 5", "    low: 90"),
    "covariates[2].categories must be words": ("[female, male]", "[no, yes]"),
    "outcome: a word must be in one of events": ("[death_other]", "[death_other, sustained_vt]"),
}


def test_everything_wrong_in_a_mapping_is_said_at_once(synthetic, tmp_path):
    text, _ = mapping_of(synthetic, tmp_path / "my.yaml")
    for old, new in WRONG.values():
        text = text.replace(old, new, 1)
    (tmp_path / "my.yaml").write_text(text + "folder: twice\n")
    with pytest.raises(MappingError) as error:
        read_mapping(tmp_path / "my.yaml")
    for message in WRONG:
        assert message in str(error.value)
    assert "folder occurs twice" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: [", "my.yaml must be a YAML file in UTF-8, got one in which line"),
        ("- a\n- b\n", "the file must be a block of `key: value` lines"),
        ("", "tables.patients must be given"),
        ("covariates: 3\n", "covariates must be a list"),
        ("outcome: {column: a, event_type: b}\n", "outcome must have either column or events"),
        ("outcome: {event_type: b, words: [a, b]}\n", "outcome.words must be left out where the"),
        ("outcome: {event_type: b}\n", "outcome.last_contact must be given: a column"),
        ("outcome: {column: yes}\n", "outcome.column must be text, got true or false"),
        ("covariates: [{name: a, kind: category}]\n", "categories must be two words or more"),
        ("covariates: [{name: event, kind: binary}]\n", "must not be called 'event'"),
        (
            "covariates: [{name: a, kind: binary}, {name: b, kind: binary, column: a}]",
            "covariates: column 'a' must occur once, it repeats",
        ),
        (
            "outcome: {column: a}\ncovariates: [{name: a, kind: binary}]\n",
            "covariates[1].column must not be the patient's, the outcome's",
        ),
    ],
)
def test_a_wrong_mapping_says_what_must_be(tmp_path, text, message):
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(MappingError) as error:
        read_mapping(tmp_path / "my.yaml")
    assert message in str(error.value)


def test_a_mapping_that_is_not_there_says_how_to_make_one(tmp_path):
    with pytest.raises(MappingError, match="python -m workflow new-cohort FOLDER"):
        read_mapping(tmp_path / "none.yaml")


def test_every_problem_of_two_tables_comes_in_one_message(german, tmp_path):
    patients, ecgs = german
    folder = tmp_path / "klinik"
    put_headers(folder, ecgs["EKG-Datei"])
    patients.to_csv(folder / "p.csv", sep=";", index=False)
    ecgs.to_csv(folder / "e.csv", sep=";", index=False)
    write_template(folder, tmp_path / "my.yaml")
    definition, _ = read_mapping(tmp_path / "my.yaml")

    patients.loc[1, "LVEF (%)"] = "250"
    patients.loc[2, "LGE"] = "vielleicht Meier"
    patients.loc[3, "Geschlecht"] = "Meier"
    patients.loc[4, "Ereignisdatum"] = "15.06.2021"  # after the last contact
    patients.loc[5, "Einschlussdatum"] = "2015/01/10"
    patients.loc[6, "Patienten-ID"] = "KLINIK-5"
    patients.loc[7, "Ereignis"] = "Sturz"
    patients.loc[8, "Letzter Kontakt"] = "01.01.2014"  # before the index date
    patients.loc[9, "Alter (Jahre)"] = "alt"
    ecgs.loc[0, "EKG-Datei"] = "E99"
    ecgs.loc[2, "EKG-Datei"] = "E1"
    ecgs.loc[3, "Patienten-ID"] = "KLINIK-77"
    ecgs.loc[5, "EKG-Datum"] = "gestern"
    ecgs.loc[4, "EKG-Datum"] = "01.01.2022"  # after the event
    patients = patients.rename(columns={"Letzter Kontakt": "Letzter Kontak"})
    patients.to_csv(folder / "p.csv", sep=";", index=False)
    ecgs.to_csv(folder / "e.csv", sep=";", index=False)
    with pytest.raises(CohortTableError) as error:
        read_cohort(folder, definition)
    lines = str(error.value).splitlines()
    for line in (
        "- p.csv: must have the columns Letzter Kontakt (did you mean 'Letzter Kontak'?)",
        "- p.csv row 3: LVEF (%) must be between 5 and 85 %",
        "- p.csv row 4: LGE must be one of nein, ja, or empty",
        "- p.csv row 5: Geschlecht must be one of weiblich, männlich, or empty",
        "- p.csv row 7: Einschlussdatum must be a date DD.MM.YYYY or YYYY-MM-DD, with or without "
        "time",
        "- p.csv row 8: Patienten-ID must occur once, it repeats",
        "- p.csv row 9: Ereignis must be one of vt, tod",
        "- p.csv row 11: Alter (Jahre) must be a number or empty",
        "- e.csv row 2: EKG-Datei must name an ECG file, it is not there",
        "- e.csv row 4: EKG-Datei must occur once, it repeats",
        "- e.csv rows 5, 8: Patienten-ID must occur in p.csv",
        "- e.csv row 7: EKG-Datum must be a date DD.MM.YYYY or YYYY-MM-DD, with or without time",
        "- p.csv row 5: patients without an ECG; they are left out and counted",
        "- e.csv row 6: ECGs on or after the day of the event; they stop the run or are dropped "
        "(ecgs_after_event)",
    ):
        assert line in lines, line
    # What hangs on the column that is not there is not said a second time.
    assert "- p.csv rows" not in str(error.value)
    for private in ("KLINIK", "Meier", "Sturz", "gestern", "E99"):
        assert private not in str(error.value)

    patients = patients.rename(columns={"Letzter Kontak": "Letzter Kontakt"})
    patients.to_csv(folder / "p.csv", sep=";", index=False)
    with pytest.raises(CohortTableError) as error:
        read_cohort(folder, definition)
    assert "- p.csv row 6: Letzter Kontakt before Ereignisdatum" in str(error.value)
    assert "- p.csv row 10: Letzter Kontakt must not be before Einschlussdatum" in str(error.value)


def test_a_name_that_several_folders_hold_is_a_problem(combined, tmp_path):
    put_headers(tmp_path / "data" / "a", combined["filename"])
    put_headers(tmp_path / "data" / "b", ["E3"])
    combined.to_csv(tmp_path / "data" / "table.csv", index=False)
    write_template(tmp_path / "data", tmp_path / "my.yaml")
    definition, folder = read_mapping(tmp_path / "my.yaml")
    message = r"table.csv row 5: filename must name one file, the folder holds several so named"
    with pytest.raises(CohortTableError, match=message):
        read_cohort(folder, definition)


def test_missing_files_may_be_left_to_the_reading(combined, tmp_path):
    put_headers(tmp_path / "data", combined["filename"][2:])
    combined.to_csv(tmp_path / "data" / "table.csv", index=False)
    write_template(tmp_path / "data", tmp_path / "my.yaml")
    definition, folder = read_mapping(tmp_path / "my.yaml")
    with pytest.raises(CohortTableError, match=r"table.csv rows 2, 3: filename must name an ECG"):
        read_cohort(folder, definition)
    definition, _ = read_mapping(corrected(tmp_path / "my.yaml", missing_files="reject"))
    assert len(read_cohort(folder, definition).records) == 2 * N


def test_rows_of_one_patient_that_contradict_each_other_are_problems(combined, tmp_path):
    combined["ecg_date"] = ["2015-01-01", "2018-01-01"] * N
    combined["age"] = [str(40 + k // 2 + 3 * (k % 2)) for k in range(2 * N)]
    put_headers(tmp_path / "data", combined["filename"])
    combined.to_csv(tmp_path / "data" / "table.csv", index=False)
    write_template(tmp_path / "data", tmp_path / "my.yaml")
    definition, folder = read_mapping(tmp_path / "my.yaml")
    patients = read_cohort(folder, definition).patients  # ages grow with the date: no problem
    assert sorted(patients["age"]) == [40 + k for k in range(N)]

    combined.loc[3, "sex"] = "f"
    combined.loc[5, "EF"] = "70"
    combined.loc[6, "EF"] = ""  # empty contradicts nothing
    combined.loc[7, "age"] = "58"
    combined.loc[9, "outcome"] = "1"
    combined.loc[11, "ecg_date"] = ""
    combined.loc[12, "filename"] = ""  # a row without an ECG, of a patient who has another one
    combined.loc[[14, 15], "filename"] = ""
    combined.to_csv(tmp_path / "data" / "table.csv", index=False)
    with pytest.raises(CohortTableError) as error:
        read_cohort(folder, definition)
    rule = "must be the same in all rows of a patient"
    lines = str(error.value).splitlines()
    assert f"- table.csv row 5: sex {rule}, here it differs" in lines
    assert f"- table.csv row 7: EF {rule}, here it differs" in lines
    age_rule = f"age {rule} (or grow with the ECG's date), here it differs"
    assert f"- table.csv rows 9, 13: {age_rule}" in lines
    assert f"- table.csv row 11: outcome {rule}, here it differs" in lines
    assert "- table.csv row 16: patients without an ECG; they are left out and counted" in lines
    assert "KLINIK" not in str(error.value)


@pytest.mark.parametrize(("n_events", "shown"), [(0, "there are 0"), (1, "there are 1")])
def test_without_two_events_nothing_can_be_evaluated(combined, tmp_path, n_events, shown):
    combined["outcome"] = ["0"] * (2 * N - 2 * n_events) + ["1"] * 2 * n_events
    put_headers(tmp_path / "data", combined["filename"])
    combined.to_csv(tmp_path / "data" / "table.csv", index=False)
    write_template(tmp_path / "data", tmp_path / "my.yaml")
    definition, folder = read_mapping(tmp_path / "my.yaml")
    message = f"outcome must mark at least 2 patients with the event, {shown}"
    with pytest.raises(CohortTableError, match=message):
        read_cohort(folder, definition)


def test_an_outcome_that_is_not_known_stops_or_is_left_out_and_counted(combined, tmp_path):
    combined["outcome"] = combined["outcome"].map({"0": "nein", "1": "ja"})
    combined.loc[[2, 3], "outcome"] = ""
    put_headers(tmp_path / "data", combined["filename"])
    combined.to_csv(tmp_path / "data" / "table.csv", index=False)
    write_template(tmp_path / "data", tmp_path / "my.yaml")
    definition, folder = read_mapping(tmp_path / "my.yaml")
    assert definition.outcome_words == ("nein", "ja")
    with pytest.raises(CohortTableError, match=r"rows 4, 5: outcome must be one of nein, ja$"):
        read_cohort(folder, definition)
    definition, _ = read_mapping(corrected(tmp_path / "my.yaml", outcome={"missing": "exclude"}))
    flow = select_cohort(read_cohort(folder, definition)).flow
    assert flow[-1]["n_patients"] == N - 1
    assert flow[-1]["reason"] == "outcome uncertain or not stated"


def test_blank_rows_count_in_the_numbering_and_nowhere_else(combined, tmp_path):
    put_headers(tmp_path / "data", combined["filename"])
    combined.loc[4, "EF"] = "250"
    lines = combined.to_csv(index=False).splitlines()
    (tmp_path / "data" / "table.csv").write_text(
        "\n".join([*lines[:3], "", ",,,,,", *lines[3:], ""])
    )
    write_template(tmp_path / "data", tmp_path / "my.yaml")
    definition, folder = read_mapping(tmp_path / "my.yaml")
    with pytest.raises(CohortTableError) as error:
        read_cohort(folder, definition)
    assert "- table.csv row 8: EF must be between 5 and 85 %" in str(error.value)


PTBXL_COLUMNS = ["patient_id", "age", "sex", "device", "recording_date", "filename_lr", "report"]


@pytest.mark.real_data
def test_a_folder_made_from_ptb_xl_is_refused_while_it_is_wrong_and_read_once_corrected(
    data_root, tmp_path
):
    source = data_root / "ptbxl_wfdb"
    table = pd.read_csv(source / "ptbxl_database.csv", dtype=str, keep_default_na=False)
    is_known = table["patient_id"] != ""
    table = table[is_known & (pd.to_numeric(table["age"]) < 90)].head(60).reset_index(drop=True)
    table["normal"] = table["scp_codes"].str.contains("'NORM'").map({True: "yes", False: "no"})
    table["sex"] = table["sex"].map({"0": "male", "1": "female"})
    folder = tmp_path / "mixed"
    for name in table["filename_lr"]:
        for suffix in (".hea", ".dat"):
            path = folder / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(source / f"{name}{suffix}")
    right = table[[*PTBXL_COLUMNS, "normal"]].rename(columns={"normal": "outcome"})
    right["filename_lr"] = right["filename_lr"].str.rsplit("/").str[-1]  # the name alone
    right.to_csv(folder / "table.csv", index=False)
    needed = write_template(folder, tmp_path / "my.yaml")
    assert needed == []
    text = (tmp_path / "my.yaml").read_text()
    assert "report" not in text.replace('#   "report"', "").replace("and report", "").replace(
        "as the report should", ""
    )
    assert not any(cell in text for cell in right["report"] if len(cell) > 3)

    wrong = right.copy()
    wrong.loc[3, "filename_lr"] = "no_such_file"
    wrong.loc[4, "filename_lr"] = wrong.loc[5, "filename_lr"]
    wrong.loc[6, "age"] = "640"
    wrong.loc[7, "sex"] = "2"
    wrong.loc[8, "recording_date"] = "yesterday"
    wrong.loc[9, "outcome"] = "perhaps"
    wrong.loc[10, "patient_id"] = ""
    again = wrong.iloc[[11]].assign(filename_lr=right.loc[3, "filename_lr"], sex="male")
    again["sex"] = {"male": "female", "female": "male"}[wrong.loc[11, "sex"]]
    wrong = pd.concat([wrong, again])
    wrong.to_csv(folder / "table.csv", index=False)
    definition, found = read_mapping(tmp_path / "my.yaml")
    with pytest.raises(CohortTableError) as error:
        read_cohort(found, definition)
    for line in (
        "row 5: filename_lr must name an ECG file, it is not there",
        "row 7: filename_lr must occur once, it repeats",
        "row 8: age must be between 0 and 120 years",
        "row 9: sex must be one of female, male, or empty",
        "row 10: recording_date must be a date YYYY-MM-DD",
        "row 11: outcome must be one of 0, 1",
        "row 12: patient_id must not be empty",
        "row 62: sex must be the same in all rows of a patient, here it differs",
    ):
        assert f"- table.csv {line}" in str(error.value)
    assert "got 8 problems" in str(error.value)

    right.to_csv(folder / "table.csv", index=False)
    cohort = read_cohort(found, definition)
    assert len(cohort.records) == 60
    selection = select_cohort(cohort)
    records, rejected, _ = prepare_signals(
        selection.records_to_read, SignalChain(), tmp_path / "out", n_workers=1
    )
    assert len(rejected) == 0
    patients, kept, _ = finish_cohort(selection, records, tmp_path / "out", rate_hz=100)
    assert len(patients) == right["patient_id"].nunique()
    assert len(kept) == 60
    by_hand = right.groupby("patient_id")["outcome"].first().eq("yes").sum()
    assert patients["outcome"].sum() == by_hand
