"""Figures of explanations, by subject: beats with maps, shares of leads and waves, Shapley values.

Colours are those of Okabe & Ito, told apart by colour-blind readers; every group also has its own
line style. Functions draw into a given ``ax`` and return it, or make and return a figure.
"""

from __future__ import annotations

from explainability.beat_figures import (
    plot_group_leads,
    plot_mean_beat_attribution,
    plot_median_beats,
)
from explainability.figure_style import COLOURS, mark_failed
from explainability.patient_figures import (
    plot_input_contributions,
    plot_shap_dependence,
    plot_shap_waterfall,
)
from explainability.shap_figures import plot_shap_bar, plot_shap_beeswarm
from explainability.share_figures import (
    plot_lead_attribution,
    plot_share_table,
    plot_window_mass,
    plot_window_shares,
)

__all__ = [
    "COLOURS",
    "mark_failed",
    "plot_group_leads",
    "plot_input_contributions",
    "plot_lead_attribution",
    "plot_mean_beat_attribution",
    "plot_median_beats",
    "plot_shap_bar",
    "plot_shap_beeswarm",
    "plot_shap_dependence",
    "plot_shap_waterfall",
    "plot_share_table",
    "plot_window_mass",
    "plot_window_shares",
]
