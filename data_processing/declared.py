"""What a user states about ECG files that do not state it themselves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DeclaredSignal:
    """Unit, rate and leads of files that hold bare numbers (NPY, some CSV, HDF5 and MATLAB).

    A reader uses it only where the file is silent; a file that states something else is refused.

    Parameters
    ----------
    unit
        mV, uV, ...; as for ``to_contract``. Empty: the file must state it.
    rate_hz
        Sampling rate. 0: the file must state it.
    leads
        Names of the channels in their order. Empty: the file must state them.
    """

    unit: str = ""
    rate_hz: float = 0.0
    leads: tuple[str, ...] = ()
