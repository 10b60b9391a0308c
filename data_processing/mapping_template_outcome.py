"""The lines of a mapping on outcome and devices, as far as they were guessed."""

from __future__ import annotations

from data_processing.mapping_guess import Guess
from data_processing.mapping_lines import BY_NAME, BY_VALUES, guessed, line

_DATED = """\
#   or events with dates (then the outcome has a horizon): column is taken out, and instead
#   components: {sustained_vt: COLUMN of its date, sudden_cardiac_death: COLUMN}
#   competing: {death_other: COLUMN, transplant: COLUMN}
#   last_contact: COLUMN
#   index_date: COLUMN
#   or, where one column names the event and another has its date,
#   event_type: COLUMN
#   events: [WORDS that are the event]
#   competing: [WORDS that end its possibility, such as other death]
#   no_event: [WORDS that mean none; an empty cell means none as well]
#   event_date: COLUMN
#   last_contact: COLUMN
#   index_date: COLUMN
"""


def outcome_lines(guess: Guess) -> list[str]:
    """Return the block of the outcome: a column, a type with its date, or components."""
    found = guess.outcome
    lines = ["", "outcome:"]
    if "column" in found:
        needed = "the column of the outcome, 0/1; or events with dates, see below"
        binary = [column.heading for column in guess.others if column.kind == "binary"]
        needed += f". Columns of 0/1: {', '.join(binary[:8])}" if binary else ""
        lines += [guessed("  column", found["column"], needed)]
        if found["words"]:
            lines += [line("  words", found["words"], f"for 0 and 1; {BY_VALUES}")]
        lines += [line("  missing", "stop", "or exclude: patients without an outcome")]
        lines += ["#   uncertain: WORD of cases that are neither and are left out"]
        return [*lines, _DATED.rstrip()]
    if "components" in found:
        return lines + _dated_components(guess)
    lines += [guessed("  event_type", found["event_type"], "the column of the event's type")]
    texts = {
        "events": "count as the event",
        "competing": "end its possibility, such as other death",
        "no_event": "mean none; an empty cell means none as well",
    }
    for key, text in texts.items():
        hint = f"words that {text}"
        if key == "events" and not found[key]:
            lines += [line("  events", "", f"needed: {hint}")]
            continue
        more = f"; {found['n_left_out']} rare ones are not shown" if found["n_left_out"] else ""
        lines += [line(f"  {key}", found[key], f"{hint}; {BY_VALUES}{more}")]
    lines += [guessed("  event_date", found["event_date"], "the column of the date of the event")]
    lines += _follow_up(guess)
    return [*lines, "#   or, without dates: column: COLUMN (0/1) alone"]


def _dated_components(guess: Guess) -> list[str]:
    """Return the components with a date column each."""
    lines = [
        "  # The first date counts; on one day an event comes before a competing one. Nothing may"
    ]
    lines += ["  # come after a name with `death` in it; a name with `icd` in it needs an ICD."]
    for key, text in (("components", "the event"), ("competing", "what ends its possibility")):
        lines += [f"  {key}:  # {text}"]
        block = guess.outcome[key]
        lines += [line(f"    {name}", column, BY_NAME) for name, column in block.items()]
        lines += [] if block else ["#    death_other: COLUMN"]
    return lines + _follow_up(guess)


def _follow_up(guess: Guess) -> list[str]:
    """Return the lines on follow-up, index date and events before it."""
    found, lines = guess.outcome, []
    for key, text in (
        ("last_contact", "the end of follow-up"),
        ("index_date", "the day from which time is counted"),
    ):
        lines += [guessed(f"  {key}", found[key], f"the column of {text}")]
    if found["covariates_date"]:
        lines += [line("  covariates_date", found["covariates_date"], BY_NAME)]
    if guess.dates.prior_event:
        hint = f"0/1 or a date: who had the event before is left out; {BY_NAME}"
        return [*lines, line("  prior_event", guess.dates.prior_event, hint)]
    return [*lines, "#   prior_event: COLUMN (0/1 or a date) of who had the event before: left out"]


def device_lines(guess: Guess) -> list[str]:
    """Return the devices: active where recognised, else as an example."""
    if "column" in guess.outcome:
        return []
    found = guess.dates.devices
    mark = "" if found else "#"
    lines = [
        "",
        f"{mark}devices:{'' if found else ' {icd: COLUMN, crt: COLUMN, pacemaker: COLUMN}'}",
    ]
    lines[-1] += "  # dates of implantation; ECGs from that day on are flagged"
    lines += [line(f"  {name}", column, BY_NAME) for name, column in found.items()]
    shown = ", ".join(f"{name}: keep" for name in found or ("icd", "crt", "pacemaker"))
    return [*lines, f"#ecgs_with_device: {{{shown}}}  # or drop: these ECGs do not count"]
