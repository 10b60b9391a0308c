"""Read an ECG file of any supported format into the signal contract.

To add a format: one module with ``matches(path)`` and ``read(path)`` that ends in
``to_contract``, and one line in ``_READERS``. Files of bare numbers or of many recordings have
``read(path, record, declared)`` and stand in ``_ARRAY_READERS``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from data_processing.declared import DeclaredSignal, declaration_beside, merged
from data_processing.errors import ECGError
from data_processing.readers import (
    cardiosoft_xml,
    csv_table,
    dicom,
    edf,
    hdf5,
    hl7_aecg,
    matlab,
    muse_xml,
    numpy_files,
    philips_xml,
    sapphire_xml,
    scp_ecg,
    wfdb_files,
)
from data_processing.signals import ECG

__all__ = ["FORMATS", "read_ecg"]

_READERS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], ECG]]] = {
    "DICOM": (dicom.matches, dicom.read),
    "EDF": (edf.matches, edf.read),
    "GE CardioSoft XML": (cardiosoft_xml.matches, cardiosoft_xml.read),
    "GE MUSE XML": (muse_xml.matches, muse_xml.read),
    "GE Sapphire XML": (sapphire_xml.matches, sapphire_xml.read),
    "HL7 aECG": (hl7_aecg.matches, hl7_aecg.read),
    "Philips Sierra XML": (philips_xml.matches, philips_xml.read),
    "SCP-ECG": (scp_ecg.matches, scp_ecg.read),
    "WFDB": (wfdb_files.matches, wfdb_files.read),
}
_ARRAY_READERS: dict[
    str, tuple[Callable[[Path], bool], Callable[[Path, str, DeclaredSignal], ECG]]
] = {
    "HDF5": (hdf5.matches, hdf5.read),
    "MATLAB": (matlab.matches, matlab.read),
    "NumPy": (numpy_files.matches, numpy_files.read),
    "CSV": (csv_table.matches, csv_table.read),  # the last: any text may look like a table
}
FORMATS = (*_READERS, *_ARRAY_READERS)
_PRINTS = (b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")  # PDF, PNG, JPEG, TIFF


def read_ecg(path: str | Path, *, record: str = "", declared: DeclaredSignal | None = None) -> ECG:
    """Read one ECG; the format is found from the content, not from the name.

    Parameters
    ----------
    path
        The file. A WFDB record may be given by its header, its samples or without an extension.
    record
        Which recording of a file that holds several.
    declared
        Unit, rate and leads where the file does not state them; a file of the same name that ends
        in ``.json`` may lie beside it and state them, or the rest of them.

    Returns
    -------
    ECG
        In the signal contract, not filtered or resampled.

    Raises
    ------
    ECGError
        If the file is missing, of no supported format, damaged, or not convertible. The text
        holds no path: file names may be patient numbers.
    """
    path = Path(path)
    for name, (matches, read) in _READERS.items():
        with _refusing(name):
            if matches(path):
                return read(path)
    for name, (matches, read_array) in _ARRAY_READERS.items():
        with _refusing(name):
            if matches(path):
                beside = declaration_beside(path)
                return read_array(path, record, merged(declared or DeclaredSignal(), beside))
    found = "no such file"
    if path.is_file():
        with path.open("rb") as file:
            is_print = file.read(4).startswith(_PRINTS)
        found = "a print or picture, which holds no samples" if is_print else "an unknown format"
    elif path.exists():
        found = "a folder"
    raise ECGError(
        f"path must be an ECG file ({', '.join(FORMATS)}), got {found}. "
        "Check the file name in the table, or export the ECG in a supported format."
    )


@contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Turn whatever a reader or its library raises into a refusal without the file's text.

    What libraries say quotes values, perhaps a patient's: only the kind of error is passed on.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    except ECGError:
        raise
    except PermissionError:
        raise ECGError(
            "file must be open to you, its permissions forbid it. Ask who owns it."
        ) from None
    except Exception as error:  # noqa: BLE001  (damaged files raise anything)
        raise ECGError(
            f"{name} file must be readable, got {type(error).__name__} while decoding: it is "
            "damaged or incomplete. Copy or export it again."
        ) from None
