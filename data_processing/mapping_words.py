"""How hospitals call their columns (English, German, Spanish, French), and what a column holds.

Only what several patients share is ever shown of a column's content: names, identifiers and dates
must not reach the mapping file.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import pandas as pd

from data_processing.tables import BINARY, DATE_FORMATS, is_missing, iso_dates

# The likelier names first. Compared without case, accents, units and separators.
ROLES = {
    "patient": "patient_id patient patid pat_id pid mrn subject_id subject participant_id "
    "participant person_id case_id patient_number patient_no patientennummer patienten_id "
    "patienten_nr pat_nr patnr fallnummer fall_id id_paciente paciente_id paciente nhc id_patient "
    "numero_patient ipp study_id pseudonym id",
    "ecg_file": "ecg_file ecg_path ecg_record ecg_name ecg file_name filename file path record "
    "record_name waveform ekg_datei ekg_pfad ekg datei dateiname pfad archivo_ecg archivo fichero "
    "ruta fichier_ecg fichier chemin filename_hr filename_lr",
    "ecg_date": "recorded_at recorded recorded_on ecg_date ecg_datetime ecg_time recording_date "
    "record_date "
    "acquisition_date acquired_at ekg_datum datum_ekg aufnahmedatum fecha_ecg fecha_ekg "
    "fecha_registro date_ecg date_enregistrement",
    "outcome": "outcome endpoint primary_endpoint event sva vt vt_vf vf scd mace label target "
    "brugada endpunkt ereignis desenlace evento resultado evenement issue critere",
    "event_type": "event_type type_of_event event_kind outcome_type event ereignisart ereignistyp "
    "ereignis tipo_evento tipo_de_evento evento type_evenement type_d_evenement evenement",
    "event_date": "event_date date_of_event ereignisdatum datum_ereignis datum_des_ereignisses "
    "fecha_evento fecha_del_evento date_evenement date_de_l_evenement",
    "last_contact": "last_contact_date last_contact date_of_last_contact last_follow_up "
    "last_follow_up_date last_fu follow_up_date fu_date last_seen censoring_date censor_date "
    "letzter_kontakt letzte_kontrolle datum_letzter_kontakt ultimo_contacto fecha_ultimo_contacto "
    "ultimo_seguimiento dernier_contact date_dernier_contact dernieres_nouvelles",
    "index_date": "index_date baseline_date inclusion_date date_of_inclusion enrolment_date "
    "enrollment_date cmr_date mri_date indexdatum einschlussdatum datum_einschluss fecha_indice "
    "fecha_inclusion date_index date_inclusion date_d_inclusion",
    "covariates_date": "covariates_date covariate_date date_of_covariates",
}
COVARIATES = {
    "age_years": "age patient_age age_at_ecg age_at_index age_at_inclusion alter alter_bei_ekg "
    "edad",
    "is_male": "sex gender male is_male geschlecht maennlich mannlich sexo sexe",
    "lvef_percent": "lvef ef ejection_fraction lv_ejection_fraction lv_ef auswurffraktion "
    "ejektionsfraktion lvef_biplan fevi fraccion_de_eyeccion fevg fraction_d_ejection",
    "lge_present": "lge lge_present lge_positive late_enhancement late_gadolinium_enhancement "
    "realce_tardio rehaussement_tardif",
    "lge_pattern": "lge_pattern lge_type lge_muster patron_lge patron_de_realce type_lge",
    "pathogenic_variant": "pathogenic_variant genotype gene_positive mutation pathogene_variante "
    "variante_patogenica variante_pathogene genotipo",
}
_UNITS = {
    **{"percent": "%", "pct": "%", "prozent": "%", "years": "years", "year": "years"},
    **{"yrs": "years", "jahre": "years", "jahren": "years", "anos": "years", "ans": "years"},
    **{"ms": "ms", "mmhg": "mmHg", "kg": "kg", "cm": "cm", "mm": "mm", "ml": "ml", "bpm": "bpm"},
}
_PERSONAL = re.compile(
    "name|nom|apellid|initial|addr|adress|direccion|street|strasse|calle|phone|telefon|mail|birth"
    "|geburt|nacimiento|naissance|dob|arzt|doctor|physician|medic|medec|nurse|operator|technic"
    "|befund|valid|refer|zip|plz|postal|city|stadt|ciudad|ville|ssn|insur|versicher|comment|komment"
    "|note|notiz|remark|bemerk|observac|report|text|contact|kontakt|employ|beruf|job"
)
FEMALE = {"f", "female", "w", "weiblich", "frau", "woman", "mujer", "femenino", "femme", "feminin"}
MALE = {"m", "male", "mann", "maennlich", "mannlich", "man", "v", "varon", "hombre", "masculino"}
MALE |= {"homme", "masculin", "h"}
NO = {"no", "nein", "non", "n", "negative", "negativ", "negativo", "negatif", "absent", "false"}
YES = {"yes", "ja", "j", "y", "si", "s", "oui", "o", "positive", "positiv", "positivo", "positif"}
YES |= {"present", "true"}
NONE = {"none", "no", "keine", "kein", "nein", "ninguno", "ninguna", "aucun", "aucune", "absent"}
_MOST_WORDS = 12
_LEAST_PATIENTS = 2  # that share a word before it may be shown


@dataclass(frozen=True)
class Column:
    """What a column holds: ``kind`` is empty, binary, number, category, date or other.

    ``words`` are those at least two patients share; ``n_left_out`` counts the others. ``formats``
    are the date formats all cells fit.
    """

    heading: str
    kind: str
    words: tuple[str, ...] = ()
    n_left_out: int = 0
    formats: tuple[str, ...] = ()


def plain(text: str) -> str:
    """Return lower-case words joined by underscores, without accents and what is in brackets.

    Examples
    --------
    >>> plain("LVEF (%)"), plain("Männlich"), plain("EKG-Datum")
    ('lvef', 'mannlich', 'ekg_datum')
    """
    text = (
        re.sub(r"[(\[].*?[)\]]", " ", text.casefold()) if text[:1] not in "([" else text.casefold()
    )
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "_".join(re.findall(r"[a-z0-9]+", text))


def _compact(text: str) -> str:
    words = plain(text).split("_")
    while len(words) > 1 and words[-1] in _UNITS:
        words.pop()
    return "".join(words)


def rank(heading: str, names: str) -> int | None:
    """Return the place of a heading in a list of names, None if it is not there."""
    known = [name.replace("_", "") for name in names.split()]
    found = _compact(heading)
    return known.index(found) if found in known else None


def unit_of(heading: str) -> str:
    """Return the unit a heading states, ``"%"`` for ``LVEF (%)``; empty if none."""
    inside = re.findall(r"[(\[]([^)\]]{1,8})[)\]]", heading)
    words = [*inside, plain(heading).split("_")[-1]]
    known = {**_UNITS, **{unit.lower(): unit for unit in _UNITS.values()}}
    return next((known[word.lower()] for word in words if word.lower() in known), "")


def describe_column(cells: pd.Series, owner: pd.Series) -> Column:
    """Return what a column holds.

    Parameters
    ----------
    cells
        Text.
    owner
        Patient of each row: a word counts as shared if it belongs to two of them.
    """
    heading = str(cells.name)
    known = cells[~is_missing(cells)]
    if known.empty:
        return Column(heading, "empty")
    lower = known.str.lower()
    if lower.isin(BINARY).all():
        return Column(heading, "binary")
    shares = {form: iso_dates(known, form).notna().mean() for form in DATE_FORMATS}
    if max(shares.values()) > 0.9:
        formats = tuple(form for form, share in shares.items() if share == max(shares.values()))
        return Column(heading, "date", formats=formats)
    numbers = pd.to_numeric(known.str.replace(",", ".", regex=False), errors="coerce")
    if numbers.notna().mean() > 0.9:
        is_long = known.str.fullmatch(r"\d{5,}").mean() > 0.9
        return Column(heading, "other" if is_long else "number")
    if lower.nunique() > _MOST_WORDS or not known.map(_is_harmless).all():
        return Column(heading, "other")
    patients = owner[known.index].groupby(lower).nunique()
    shared = set(patients.index[patients >= _LEAST_PATIENTS])
    spelling = known.groupby(lower).agg(lambda words: words.mode().iloc[0])
    words = tuple(sorted((spelling[word] for word in shared), key=_none_first))
    return Column(heading, "category", words, n_left_out=len(patients) - len(shared))


def is_personal(heading: str) -> bool:
    """Return whether a heading speaks of people, places or free text, whose words stay unshown."""
    return _PERSONAL.search(plain(heading)) is not None


def yes_no(words: tuple[str, ...]) -> list[str]:
    """Return two words as [no, yes]; empty if they are not such a pair."""
    return _pair(words, NO, YES)


def female_male(words: tuple[str, ...]) -> list[str]:
    """Return two words as [female, male]; Spanish m stands beside h, French h beside f."""
    if {plain(word) for word in words} in ({"h", "m"}, {"v", "m"}):
        return sorted(words, key=lambda word: plain(word) != "m")
    return _pair(words, FEMALE, MALE)


def _pair(words: tuple[str, ...], first: set[str], second: set[str]) -> list[str]:
    if len(words) != 2:
        return []
    for one, other in (words, words[::-1]):
        if plain(one) in first and plain(other) in second:
            return [one, other]
    return []


def _none_first(word: str) -> tuple[bool, str]:
    return plain(word) not in NONE | NO, word.lower()


def _is_harmless(word: str) -> bool:
    """Return whether a cell may be a category: short, no titles, no numbers that may identify."""
    is_short = len(word) <= 30 and len(word.split()) <= 3
    is_titled = re.search(r"\b(dr|prof|med|mr|mrs|herr|frau|sr|sra|mme)\b\.?\s+\w", word.lower())
    return is_short and not re.search(r"[,;@]|\d{4}", word) and not is_titled
