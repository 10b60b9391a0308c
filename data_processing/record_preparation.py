"""From one ECG file to a row of the store and the facts of the record."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from data_processing.chain import FILTERS, SignalChain
from data_processing.declared import DeclaredSignal
from data_processing.errors import ECGError
from data_processing.leads import LEADS
from data_processing.quality import QualityThresholds, assess_quality
from data_processing.readers import read_ecg
from data_processing.signals import ECG

SUSPECTED = ("keep", "reject")
FACTS = ("rate_hz", "source_format", "quality", "quality_index", "heart_rate_bpm", "suspicions")
FACTS += ("proof_unit", "proof_scale", "proof_leads", "valid_start", "valid_stop", "file_sha256")
Job = tuple[str, str]  # path, and which recording of the file
Chunk = tuple[np.ndarray, list[dict[str, Any]]]


@dataclass(frozen=True)
class Reading:
    """How the ECGs of a cohort are read and judged.

    Parameters
    ----------
    declared
        Unit, rate and leads of files that do not state them.
    thresholds
        Beyond which a lead is flagged.
    suspected
        ``keep`` and flag, or ``reject``, ECGs whose leads, electrodes or scale look wrong.

    Raises
    ------
    ValueError
        If ``suspected`` is another word.
    """

    declared: DeclaredSignal = field(default_factory=DeclaredSignal)
    thresholds: QualityThresholds = field(default_factory=QualityThresholds)
    suspected: str = "keep"

    def __post_init__(self) -> None:
        if self.suspected not in SUSPECTED:
            raise ValueError(
                f"suspected_leads must be keep or reject, got {self.suspected!r}. Choose one."
            )


def chain_of(parameters: Any) -> SignalChain:
    """Return the signal chain that parameters ask for.

    Parameters
    ----------
    parameters
        ``rate_hz, duration_seconds, short_ecgs`` ("refuse" or "pad"), ``filter_preset`` (a key of
        ``FILTERS``, or "corners": ``low_cut_hz`` and ``high_cut_hz``), ``filter_order``,
        ``notch_hz``.

    Raises
    ------
    ValueError
        If a preset and other corners than the default are given, or the chain contradicts itself.
    """
    given = (parameters.low_cut_hz, parameters.high_cut_hz)
    corners = given
    if parameters.filter_preset != "corners":
        corners = FILTERS[parameters.filter_preset]
        if given not in (FILTERS["standard"], corners):
            raise ValueError(
                "filter_preset must be corners where low_cut_hz and high_cut_hz are given, got "
                f"{parameters.filter_preset!r} with {given[0]:g} and {given[1]:g}. Choose one."
            )
    return SignalChain(
        rate_hz=parameters.rate_hz,
        duration_seconds=parameters.duration_seconds,
        low_cut_hz=corners[0],
        high_cut_hz=corners[1],
        notch_hz=parameters.notch_hz,
        filter_order=parameters.filter_order,
        pad_short=parameters.short_ecgs == "pad",
    )


def reading_of(parameters: Any, declared: DeclaredSignal) -> Reading:
    """Return how ECGs are judged by the parameters of a notebook.

    Parameters
    ----------
    parameters
        ``suspected_leads`` and the names of ``QualityThresholds`` it has.
    declared
        Of the cohort.
    """
    names = QualityThresholds.__dataclass_fields__
    given = {name: getattr(parameters, name) for name in names if hasattr(parameters, name)}
    return Reading(declared, QualityThresholds(**given), parameters.suspected_leads)


def prepare_one(
    path: str | Path, chain: SignalChain, *, record: str = "", reading: Reading | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Read one ECG file and bring it through the chain, exactly as a cohort's records.

    Parameters
    ----------
    path
        The file.
    chain
        Filter, rate and length.
    record
        As for ``read_ecg``.
    reading
        How it is read and judged.

    Returns
    -------
    signal_mv, facts
        (n_samples, 12) float32 millivolts; the facts of the record: ``FACTS``, ``recorded_at`` and
        ``by_lead``, in plain values.

    Raises
    ------
    ECGError
        If it is refused.
    """
    reading = reading or Reading()
    ecg = read_ecg(path, record=record, declared=reading.declared)
    if ecg.suspicions and reading.suspected == "reject":
        raise ECGError(
            f"ECG must raise no suspicion (suspected_leads = reject), got: {ecg.suspicions[0]}. "
            "Look at it, correct the file or leave it out."
        )
    return chain.apply(ecg.signal_mv, ecg.rate_hz), _facts(ecg, chain, reading)


def _facts(ecg: ECG, chain: SignalChain, reading: Reading) -> dict[str, Any]:
    quality = assess_quality(ecg.signal_mv, ecg.rate_hz, reading.thresholds)
    flags = [*quality.findings, *ecg.notes, *ecg.suspicions]
    start, stop = chain.valid_samples(len(ecg.signal_mv), ecg.rate_hz)
    return {
        "rate_hz": ecg.rate_hz,
        "source_format": ecg.source_format,
        "quality": f"flagged: {'; '.join(flags)}" if flags else "good",
        "quality_index": quality.index,
        "heart_rate_bpm": quality.heart_rate_bpm,
        "suspicions": "; ".join(ecg.suspicions),
        **{f"proof_{name}": level for name, level in ecg.proof.items()},
        "valid_start": start,
        "valid_stop": stop,
        "file_sha256": ecg.file_sha256,
        "recorded_at": ecg.recorded_at.isoformat() if ecg.recorded_at else None,
        "by_lead": {
            name: [float(f"{value:.4g}") for value in values]
            for name, values in quality.by_lead.items()
        },
    }


def prepare_chunk(jobs: list[Job], *, chain: SignalChain, reading: Reading) -> Chunk:
    """Prepare some files; a refusal is a result, not an error (runs in a worker process).

    Parameters
    ----------
    jobs
        Path and recording of each.
    chain, reading
        As for ``prepare_one``.

    Returns
    -------
    signals, facts
        Rows (n, n_samples, 12) of those that were read; the facts of all, with ``reason`` = ""
        where it was read.
    """
    signals = []
    facts: list[dict[str, Any]] = []
    for path, record in jobs:
        try:
            signal, found = prepare_one(path, chain, record=record, reading=reading)
        except ECGError as error:
            facts.append({"reason": str(error)})
        else:
            signals.append(signal)
            facts.append({"reason": "", **found})
    empty = np.empty((0, chain.n_samples, len(LEADS)), dtype=np.float32)
    return (np.stack(signals) if signals else empty), facts
