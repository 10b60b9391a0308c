"""The errors this package raises on purpose; each says what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Iterable


class ECGError(ValueError):
    """An ECG that cannot be converted to the signal contract; the text is the plain reason."""


class CohortTableError(ValueError):
    """Tables of a cohort that contradict their definition; lists every problem by table row."""


class MappingError(ValueError):
    """A mapping file that does not say how to read a cohort; lists every problem."""


class LeakageError(ValueError):
    """Something a model must not see has reached it; the text says what, how many and where."""


def listed(names: Iterable[object], *, at_most: int = 5) -> str:
    """Return the first names and how many more there are, for messages.

    Parameters
    ----------
    names
        Iterable of pseudonyms (record or patient ids) or table rows.
    at_most
        How many to spell out.

    Examples
    --------
    >>> listed(["R00001", "R00002", "R00003"], at_most=2)
    'R00001, R00002 and 1 more'
    """
    words = [str(name) for name in names]
    more = len(words) - at_most
    return ", ".join(words[:at_most]) + (f" and {more} more" if more > 0 else "")
