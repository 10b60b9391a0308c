"""How hospitals call the dates of events and devices (English, German, Spanish, French)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from data_processing.mapping_words import NO, NONE, Column, plain, rank

# The likelier names first. Compared without case, accents, units and separators.
COMPONENTS = {
    "sustained_vt": "vt_date date_vt date_of_vt sustained_vt_date date_sustained_vt vt_vf_date "
    "vf_date vt_datum datum_vt datum_der_vt vt_vf_datum fecha_tv fecha_tvs fecha_de_tv "
    "fecha_tv_sostenida fecha_tvms fecha_tv_fv date_tv date_tvs date_de_tv date_tv_fv",
    "appropriate_icd_therapy": "icd_therapy_date icd_shock_date shock_date date_of_shock "
    "appropriate_therapy_date appropriate_icd_therapy_date appropriate_shock_date date_icd_therapy "
    "icd_therapie_datum datum_icd_therapie icd_schock_datum datum_icd_schock schockdatum "
    "datum_adaequate_therapie datum_adaquate_therapie fecha_terapia_dai fecha_choque_dai "
    "fecha_descarga_dai fecha_terapia_apropiada fecha_descarga_apropiada date_choc date_choc_dai "
    "date_therapie_dai date_therapie_appropriee",
    "sudden_cardiac_death": "scd_date date_scd date_of_scd sudden_death_date date_sudden_death "
    "sudden_cardiac_death_date datum_ploetzlicher_herztod datum_plotzlicher_herztod pht_datum "
    "datum_pht fecha_muerte_subita fecha_de_muerte_subita fecha_ms fecha_msc date_mort_subite "
    "date_de_mort_subite",
}
COMPETING = {
    "death_other": "death_date date_of_death date_death deceased_date todesdatum sterbedatum "
    "datum_tod datum_des_todes fecha_muerte fecha_de_muerte fecha_exitus fecha_fallecimiento "
    "fecha_de_fallecimiento fecha_defuncion date_deces date_de_deces date_du_deces date_mort",
    "transplant": "htx_date transplant_date transplantation_date date_of_transplant "
    "date_of_transplantation heart_transplant_date date_htx htx_datum datum_htx "
    "transplantationsdatum datum_transplantation fecha_trasplante fecha_de_trasplante fecha_txc "
    "date_transplantation date_greffe date_de_greffe",
    "lvad": "lvad_date date_lvad date_of_lvad vad_date lvad_datum datum_lvad fecha_lvad fecha_davi "
    "date_assistance",
}
DEVICE_DATES = {
    "icd": "icd_date date_icd icd_implant_date icd_implantation_date date_of_icd "
    "date_of_icd_implantation icd_datum datum_icd icd_implantationsdatum datum_icd_implantation "
    "fecha_dai fecha_implante_dai fecha_implantacion_dai date_dai date_implantation_dai",
    "crt": "crt_date date_crt crt_implant_date crt_implantation_date date_of_crt crt_datum "
    "datum_crt datum_crt_implantation fecha_trc fecha_crt fecha_implante_trc "
    "date_resynchronisation date_implantation_crt",
    "pacemaker": "pacemaker_date pm_date date_pacemaker date_of_pacemaker pacemaker_implant_date "
    "schrittmacher_datum datum_schrittmacher schrittmacherdatum hsm_datum datum_hsm "
    "fecha_marcapasos fecha_implante_marcapasos fecha_mp date_stimulateur",
}
PRIOR_EVENT = (
    "prior_sva prior_vt prior_event prior_event_date prior_sva_date prior_vt_date history_of_vt "
    "history_of_sva previous_vt previous_sva vt_vor_einschluss vt_anamnese vt_in_anamnese "
    "tv_previa antecedente_tv antecedentes_tv antecedente_de_tv tv_anterieure antecedent_tv"
)
BIRTH_DATE = (
    "birth_date date_of_birth dob birthdate birthday geburtsdatum geb_datum fecha_nacimiento "
    "fecha_de_nacimiento date_naissance date_de_naissance"
)
PACED = (
    "is_paced paced paced_rhythm paced_ecg pacing stimuliert schrittmacher_ekg estimulado "
    "ritmo_estimulado ritmo_de_marcapasos rythme_stimule entraine"
)
_COMPETING_WORDS = ("death", "dead", "died", "tod", "verstorben", "muert", "fallec", "dece", "mort")
_COMPETING_WORDS = (*_COMPETING_WORDS, "transpl", "htx", "trasplante", "greffe", "lvad")
_CARDIAC_WORDS = ("sudden", "cardiac", "scd", "ploetz", "plotz", "subit", "cardiaca", "herztod")
_NO_EVENT = ("censored", "alive", "lebt", "zensiert", "no_event", "kein_ereignis", "vivo", "vivant")
_NO_EVENT = {*_NO_EVENT, *NONE, *NO, "0"}


@dataclass
class EventDates:
    """The columns of a table of patients that date an event or device; empty: none recognised."""

    components: dict[str, str] = field(default_factory=dict)
    competing: dict[str, str] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    prior_event: str = ""
    birth_date: str = ""

    @property
    def headings(self) -> set[str]:
        """All columns that were recognised."""
        blocks = (self.components, self.competing, self.devices)
        found = {column for block in blocks for column in block.values()}
        return {*found, self.prior_event, self.birth_date} - {""}


def guess_event_dates(columns: Iterable[Column]) -> EventDates:
    """Return which columns date an event or device, by their headings.

    Parameters
    ----------
    columns
        Of the table of patients; dates, or columns without a value.
    """
    columns = list(columns)

    def first(names: str, *kinds: str) -> str:
        places = {
            column.heading: place
            for column in columns
            if column.kind in (*kinds, "empty")
            and (place := rank(column.heading, names)) is not None
        }
        return min(places, key=lambda heading: places[heading], default="")

    def block(words: dict[str, str]) -> dict[str, str]:
        found = {name: first(names, "date") for name, names in words.items()}
        return {name: heading for name, heading in found.items() if heading}

    return EventDates(
        components=block(COMPONENTS),
        competing=block(COMPETING),
        devices=block(DEVICE_DATES),
        prior_event=first(PRIOR_EVENT, "date", "binary"),
        birth_date=first(BIRTH_DATE, "date"),
    )


def divide_event_words(words: Iterable[str]) -> dict[str, list[str]]:
    """Return the words of an event's type as ``events``, ``competing`` and ``no_event``."""
    found: dict[str, list[str]] = {"events": [], "competing": [], "no_event": []}
    for word in words:
        text = plain(word)
        is_end = any(part in text for part in _COMPETING_WORDS)
        is_competing = is_end and not any(part in text for part in _CARDIAC_WORDS)
        key = "no_event" if text in _NO_EVENT else "competing" if is_competing else "events"
        found[key].append(word)
    return found
