"""What else a SYNTHETIC recording holds: fibrillation waves, breathing, mains hum, muscle.

Noise arises at the nine electrodes, so the leads made of them keep Einthoven's law.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from data_processing.synthetic_rhythm import breathing_rate_hz
from data_processing.synthetic_traits import Draws

# Independent leads from the electrodes RA, LA, LL, V1 to V6 (Wilson's terminal under V1 to V6).
LEADS_FROM_ELECTRODES = np.zeros((8, 9))
LEADS_FROM_ELECTRODES[0, [0, 1]] = [-1.0, 1.0]
LEADS_FROM_ELECTRODES[1, [0, 2]] = [-1.0, 1.0]
LEADS_FROM_ELECTRODES[2:, :3] = -1.0 / 3.0
LEADS_FROM_ELECTRODES[2:, 3:] = np.eye(6)

_MAINS_HZ = 50.0
# SD at one electrode at 500 Hz: arms and left leg, then the chest. Level as measured in PTB-XL.
_MUSCLE_MV = np.array([0.0023] * 3 + [0.0010] * 6)
_F_WAVE_LEADS = np.array([0.2, 0.5, 1.0, 0.6, 0.3, 0.2, 0.15, 0.12])


def add_fibrillation_waves(leads: np.ndarray, record: Draws, seconds: np.ndarray) -> None:
    """Add the f waves of atrial fibrillation in place: 5 to 8 Hz, wandering, largest in V1."""
    for row in np.flatnonzero(record["is_fibrillating"]):
        rate = 6.3 * np.exp(0.1 * record["flutter_rate"][row])
        size = 0.05 * np.exp(0.3 * record["flutter_size"][row])
        phase = 2 * np.pi * (rate * seconds + 0.35 * np.sin(2 * np.pi * 0.43 * seconds))
        wave = size * (np.sin(phase) + 0.35 * np.sin(1.83 * phase + 1.0))
        leads[row] += (_F_WAVE_LEADS[:, None] * wave[None, :]).astype(np.float32)


def electrode_noise(
    record: Draws,
    generators: list[np.random.Generator],
    seconds: np.ndarray,
    rate_hz: float,
) -> np.ndarray:
    """Return noise seen by the independent leads, (n, 8, n_samples) float32 mV.

    Baseline: breathing and a slower drift. Mains: 50 Hz, left out where the rate cannot carry it.
    Muscle: white within the recorder's band, so its SD falls with the square root of the rate.
    """
    breathing = 2 * np.pi * breathing_rate_hz(record)[:, None] * seconds
    breathing = np.sin(breathing + 2 * np.pi * ndtr(record["breathing_phase"])[:, None])
    drift = 2 * np.pi * 0.07 * seconds[None, :] + 6.0 * record["mains_phase"][:, None]
    parts = [breathing, np.sin(drift), np.sin(2.3 * drift + 1.0)]
    if rate_hz > 4 * _MAINS_HZ:
        phase = 2 * np.pi * (_MAINS_HZ * seconds[None, :] + record["mains_phase"][:, None])
        parts += [np.sin(phase), np.cos(phase)]
    shapes = np.stack(parts, axis=1).astype(np.float32)
    wander = 0.028 * np.exp(0.5 * record["wander"])
    sizes = [
        0.025 * np.exp(0.5 * record["breathing_size"]),
        wander,
        0.6 * wander,
        *[0.003 * np.exp(0.7 * record["mains"])] * (len(parts) - 3),
    ]
    muscle = np.sqrt(min(1.0, rate_hz / 500.0)) * record["noise_level"][:, None] * _MUSCLE_MV
    noise = np.empty((len(generators), 9, len(seconds)), np.float32)
    mixing = np.empty((len(generators), 9, len(parts)), np.float32)
    for row, generator in enumerate(generators):
        mixing[row] = generator.standard_normal((9, 5), np.float32)[:, : len(parts)]
        generator.standard_normal(out=noise[row], dtype=np.float32)
    noise *= muscle[:, :, None].astype(np.float32)
    mixing *= np.stack(sizes, axis=-1)[:, None, :].astype(np.float32)
    noise += mixing @ shapes
    return LEADS_FROM_ELECTRODES.astype(np.float32) @ noise
