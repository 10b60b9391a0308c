"""The SYNTHETIC heart: the Gaussians of a beat and how the leads see them.

A beat is a sum of Gaussians in time, each with a dipole in space (after McSharry 2003,
doi 10.1109/TBME.2003.808805, and Sameni 2007, doi 10.1155/2007/32078); the leads see the dipole
through the lead field of Dower 1980 (doi 10.1002/clc.4960030202). Axes: x to the left, y to the
feet, z to the back; amplitudes in mV at the independent leads I, II, V1 to V6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from data_processing.synthetic_traits import Draws, draw_traits
from data_processing.synthetic_truth import SIGNATURES

_DOWER = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.430, 0.131, -0.766],  # Dower's V1 times 0.835: as tall as in PTB-XL
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
# Centre and SD in seconds after the R peak, dipole x, y, z in mV. One row a Gaussian.
_P_WAVE = np.array(
    [
        [-0.175, 0.017, 0.035, 0.055, -0.050],
        [-0.144, 0.019, 0.055, 0.050, 0.045],
    ]
)
_QRS_NORMAL = np.array(
    [
        [-0.022, 0.0085, -0.14, -0.06, -0.32],
        [0.000, 0.0105, 1.18, 0.80, 0.22],
        [0.019, 0.0110, 0.06, 0.00, 0.92],
        [0.037, 0.0090, -0.15, -0.05, 0.20],
    ]
)
_QRS_LEFT_BUNDLE = np.array(
    [
        [-0.038, 0.0130, 0.18, 0.10, -0.05],
        [-0.006, 0.0180, 0.62, 0.28, 0.85],
        [0.032, 0.0200, 0.72, 0.12, 0.80],
        [0.068, 0.0150, 0.22, -0.06, 0.30],
    ]
)
_ECTOPIC_BEAT = np.array(
    [
        [-0.035, 0.024, 0.55, 0.50, 0.35],
        [0.000, 0.028, 0.90, 0.70, 0.80],
        [0.045, 0.024, 0.10, 0.30, 0.40],
        [0.215, 0.055, -0.25, -0.18, -0.22],
        [0.275, 0.040, -0.30, -0.22, -0.25],
    ]
)
_T_DIPOLE_NORMAL = np.array([0.37, 0.16, -0.20])
_T_DIPOLE_LEFT_BUNDLE = np.array([-0.16, 0.03, -0.32])
_T_WEIGHTS = np.array([0.45, 0.75])  # slow rise, steeper fall


@dataclass(frozen=True)
class Hearts:
    """What the renderer needs, one row a record (``n`` records, ``k`` Gaussians of a beat).

    ``centre``, ``sigma`` (n, k) in seconds and ``leads_mv`` (n, 8, k) describe conducted beats, the
    same with ``p_`` and ``ectopic_`` the P wave and premature ventricular beats. ``is_t`` (k,)
    marks the Gaussians that follow the RR interval. ``record`` holds further per-record values.
    """

    centre: np.ndarray
    sigma: np.ndarray
    leads_mv: np.ndarray
    is_t: np.ndarray
    p_centre: np.ndarray
    p_sigma: np.ndarray
    p_leads_mv: np.ndarray
    ectopic_centre: np.ndarray
    ectopic_sigma: np.ndarray
    ectopic_leads_mv: np.ndarray
    record: Draws


def draw_hearts(rows: pd.DataFrame, seed: int) -> Hearts:
    """Draw patient and record traits and assemble the beats.

    Parameters
    ----------
    rows : DataFrame, n rows
        One row a record: ``patient_number``, ``ecg_number`` and the ``z_`` latents.
    seed : int
        With the two numbers it fixes every draw, whatever the batch the record comes in.

    Returns
    -------
    Hearts
    """
    patient, record, values = draw_traits(rows, seed)
    field = _lead_field(patient, record)
    centre, sigma, leads, is_t = _conducted_beat(patient, record, values, field)
    p_wave = np.broadcast_to(_P_WAVE, (len(rows), *_P_WAVE.shape))
    ectopic = np.broadcast_to(_ECTOPIC_BEAT, (len(rows), *_ECTOPIC_BEAT.shape))
    turned = _turn(
        ectopic[..., 2:], 0.5 * patient["ectopic_frontal"], 0.6 * patient["ectopic_horizontal"]
    )
    p_size = np.exp(0.25 * patient["p_gain"]) * ~values["is_fibrillating"]
    return Hearts(
        centre=centre,
        sigma=sigma,
        leads_mv=leads,
        is_t=is_t,
        p_centre=p_wave[..., 0] - values["pr_shift_seconds"][:, None],
        p_sigma=p_wave[..., 1],
        p_leads_mv=_project(field, p_wave[..., 2:] * p_size[:, None, None]),
        ectopic_centre=ectopic[..., 0],
        ectopic_sigma=ectopic[..., 1],
        ectopic_leads_mv=_project(field, turned),
        record=values,
    )


def _lead_field(patient: Draws, record: Draws) -> np.ndarray:
    """Return the lead field (n, 8, 3): torso gain, electrodes slipped to the neighbour's place."""
    gain = np.exp(0.20 * patient["gain"] + 0.03 * record["gain"])
    field = np.repeat(_DOWER[None] * 1.0, len(gain), axis=0)
    chest = _DOWER[2:]
    before, after = np.vstack([chest[:1], chest[:-1]]), np.vstack([chest[1:], chest[-1:]])
    for position in range(6):
        name = f"v{position + 1}"
        slip = np.clip(0.15 * patient[name] + 0.12 * record[name], -0.6, 0.6)[:, None]
        towards = np.where(slip > 0, after[position], before[position])
        size = np.exp(0.10 * patient[name])[:, None]
        field[:, 2 + position] = size * ((1 - abs(slip)) * chest[position] + abs(slip) * towards)
    return field * gain[:, None, None]


def _turn(dipoles: np.ndarray, frontal: np.ndarray, horizontal: np.ndarray) -> np.ndarray:
    """Rotate dipoles (n, k, 3) by angles (n,) in rad, first in the frontal (x, y) plane."""
    x, y, z = np.moveaxis(dipoles, -1, 0)
    cos, sin = np.cos(frontal)[:, None], np.sin(frontal)[:, None]
    x, y = cos * x - sin * y, sin * x + cos * y
    cos, sin = np.cos(horizontal)[:, None], np.sin(horizontal)[:, None]
    return np.stack([cos * x - sin * z, y, sin * x + cos * z], axis=-1)


def _project(field: np.ndarray, dipoles: np.ndarray) -> np.ndarray:
    """Return lead amplitudes (n, 8, k) of dipoles (n, k, 3)."""
    return np.einsum("nlx,nkx->nlk", field, dipoles)


def _conducted_beat(
    patient: Draws,
    record: Draws,
    values: Draws,
    field: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return centres, SDs (n, k), leads (n, 8, k) and the T flag of a conducted beat.

    Columns: QRS (4), innocent notch, terminal slur, fragments (2), ST, T (2).
    """
    wide = values["has_left_bundle"][:, None, None]
    qrs = np.where(wide, _QRS_LEFT_BUNDLE, _QRS_NORMAL)
    qrs[:, 0, 2:] *= np.exp(0.35 * patient["septal"])[:, None]
    qrs[:, 2, 2:] *= np.exp(0.25 * patient["posterior"])[:, None]
    qrs[:, 3, 2:] *= np.exp(0.35 * patient["terminal"])[:, None]
    frontal = np.deg2rad(-3.0 + 24.0 * patient["frontal"] + 3.0 * record["frontal"])
    horizontal = np.deg2rad(11.0 * patient["horizontal"] + 3.0 * record["horizontal"])
    stretch = 0.90 * np.exp(0.08 * patient["qrs"])[:, None]
    qrs_leads = _project(field, _turn(qrs[..., 2:], frontal, horizontal))
    notch = 0.035 * np.stack([patient[f"notch_{axis}"] for axis in "xyz"], axis=-1)

    t_dipole = np.where(wide[:, 0], _T_DIPOLE_LEFT_BUNDLE, _T_DIPOLE_NORMAL)[:, None, :]
    t_size = np.exp(0.28 * patient["t_gain"] + 0.08 * record["t_gain"])
    t_frontal = 0.4 * frontal + np.deg2rad(12.0 * patient["t_frontal"])
    t_horizontal = np.deg2rad(14.0 * patient["t_horizontal"])
    t_leads = _project(field, _turn(t_dipole, t_frontal, t_horizontal))[..., 0] * t_size[:, None]

    sign = {sign.name: np.array(sign.leads_mv)[None, :] for sign in SIGNATURES}
    t_leads = t_leads - sign["lateral_t"] * values["lateral_t_mv"][:, None]
    slur = sign["terminal_slur"] * values["slur_mv"][:, None]
    fragment = sign["qrs_fragmentation"] * values["fragment_mv"][:, None]
    st = 0.12 * t_leads + 0.02 * patient["st"][:, None] * field[..., 0]
    leads = np.concatenate(
        [
            qrs_leads,
            np.stack([np.einsum("nlx,nx->nl", field, notch), slur, fragment, -fragment, st], -1),
            t_leads[..., None] * _T_WEIGHTS,
        ],
        axis=-1,
    )
    centre, sigma = _conducted_times(patient, record, values["qt_seconds"], qrs, stretch)
    return centre, sigma, leads, np.arange(leads.shape[-1]) >= leads.shape[-1] - 3


def _conducted_times(
    patient: Draws,
    record: Draws,
    qt_seconds: np.ndarray,
    qrs: np.ndarray,
    stretch: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return centres and SDs in the order of :func:`_conducted_beat`."""
    slur_sigma, fragment_sigma = SIGNATURES[1].sigma_seconds, SIGNATURES[2].sigma_seconds
    constant = np.ones(len(qt_seconds))
    jitter = 0.004 * record["fragment_time"]
    centre = [
        0.012 + 0.012 * patient["notch_time"],
        0.048 * constant,
        0.014 + jitter,
        0.023 + jitter,
        0.33 * qt_seconds,
        0.56 * qt_seconds,
        0.675 * qt_seconds,
    ]
    sigma = [
        0.006 * constant,
        slur_sigma * constant,
        fragment_sigma * constant,
        fragment_sigma * constant,
        0.09 * qt_seconds,
        0.105 * qt_seconds,
        0.075 * qt_seconds,
    ]
    return (
        np.concatenate([qrs[..., 0] * stretch, np.stack(centre, -1)], axis=1),
        np.concatenate([qrs[..., 1] * stretch, np.stack(sigma, -1)], axis=1),
    )
