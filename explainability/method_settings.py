"""What the attribution methods need to know beside network and records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from explainability.model_access import Inputs


@dataclass(frozen=True)
class MethodSettings:
    """What the methods need; each reads its own.

    Parameters
    ----------
    rate_hz : float
        Sampling rate of the ECG the network takes.
    layer_name : str
        grad_cam, grad_cam_plus_plus: layer of the map; empty for `default_layer`.
    n_steps : int
        integrated_gradients: points of the path.
    baseline : mapping of str to array, optional
        integrated_gradients: start of the path, see there.
    n_draws : int
        smooth_grad: noisy copies. shap_gradient: points a record.
    noise_share : float
        smooth_grad: SD of the noise over the record's range.
    groups : mapping of str to sequence of int
        occlusion_by_lead: name to positions of leads; empty for every lead alone.
    windows : mapping of str to bool array of shape (n_records, n_samples)
        occlusion_by_wave: where each wave lies in each record.
    background : mapping of str to array, optional
        shap_gradient, shap_deep: inputs of **training** patients.
    relative_tolerance : float
        Largest completeness error, as a share of the change of the score.
    is_strict : bool
        Whether an error above it raises; False leaves it to ``completeness["is_complete"]``.
    seed : int
        Of all that is random.
    batch_size : int
        Records at a time.
    """

    rate_hz: float
    layer_name: str = ""
    n_steps: int = 32
    baseline: Inputs | None = None
    n_draws: int = 50
    noise_share: float = 0.1
    groups: Mapping[str, Sequence[int]] = field(default_factory=dict)
    windows: Mapping[str, np.ndarray] = field(default_factory=dict)
    background: Inputs | None = None
    relative_tolerance: float = 0.05
    is_strict: bool = True
    seed: int = 0
    batch_size: int = 32

    def __post_init__(self) -> None:
        """Refuse a rate that gives no times."""
        if not self.rate_hz > 0:
            raise ValueError(
                f"rate_hz must be positive, got {self.rate_hz}. Read it from dataset.json."
            )

    def of_rows(self, rows: np.ndarray) -> MethodSettings:
        """Return the settings for some of the records: the windows of these rows."""
        return replace(self, windows={name: mask[rows] for name, mask in self.windows.items()})
