"""The ECG on paper is to scale, complete, and refuses what does not fit."""

import numpy as np
import pytest

from data_processing.figures import LAYOUTS, plot_ecg
from data_processing.signals import LEADS


def traces(figure):
    """Return the drawn leads (x, y in mm): lines longer than a pulse."""
    return [line.get_xydata() for line in figure.axes[0].lines if len(line.get_xydata()) > 50]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_lead_is_named_once_and_in_its_place(make_ecg, layout):
    figure = plot_ecg(make_ecg(0), rate_hz=500, layout=layout)
    names = [text.get_text() for text in figure.axes[0].texts if text.get_text() in LEADS]
    rhythm = ["II"] if layout == "3x4" else []
    assert sorted(names) == sorted([*LEADS, *rhythm])
    places = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert places["aVL"][1] > places["aVF"][1]  # aVL above aVF in both layouts
    assert places["V1"][0] > places["aVR"][0]


def test_the_paper_is_to_scale(make_ecg):
    figure = plot_ecg(make_ecg(0), rate_hz=500)
    width, height = figure.get_size_inches() * 25.4
    ax = figure.axes[0]
    box = ax.get_position()
    assert box.width * width == pytest.approx(ax.get_xlim()[1], rel=1e-6)  # 1 unit = 1 mm
    assert box.height * height == pytest.approx(ax.get_ylim()[1], rel=1e-6)
    rhythm = max(traces(figure), key=len)
    assert np.ptp(rhythm[:, 0]) == pytest.approx(25 * 4999 / 500)
    signal = make_ecg(0)
    assert np.ptp(rhythm[:, 1]) == pytest.approx(10 * np.ptp(signal[:, 1]))


def test_the_segments_of_a_row_are_consecutive_in_time():
    signal = np.zeros((1000, 12))
    signal[:, LEADS.index("V2")] = np.where(np.arange(1000) == 600, 1.0, 0.0)
    peaks = [
        xy[xy[:, 1].argmax()] for xy in traces(plot_ecg(signal, rate_hz=100)) if np.ptp(xy[:, 1])
    ]
    starts = min(xy[0, 0] for xy in traces(plot_ecg(signal, rate_hz=100)))
    assert len(peaks) == 1
    assert peaks[0][0] - starts == pytest.approx(6.0 * 25)


@pytest.mark.parametrize("shape", [(1000,), (1000, 12)])
def test_an_overlay_gets_a_named_colour_bar(make_ecg, shape):
    figure = plot_ecg(
        make_ecg(1, rate_hz=100),
        rate_hz=100,
        overlay=np.linspace(0, 1, np.prod(shape)).reshape(shape),
        overlay_label="share of the gradient",
        r_peaks=[100, 200],
        footnote="0.5–40 Hz",
    )
    assert figure.axes[1].get_ylabel() == "share of the gradient"
    words = [text.get_text() for text in figure.axes[0].texts]
    assert "25 mm/s · 10 mm/mV · 10 s · 0.5–40 Hz" in words


def test_a_trace_takes_the_colour_of_its_weights():
    weights = np.zeros((1000, 12))
    weights[:, LEADS.index("V1")], weights[:, LEADS.index("V4")] = 1.0, -1.0
    figure = plot_ecg(np.zeros((1000, 12)), rate_hz=100, trace_weights=weights, overlay_label="map")
    assert figure.axes[1].get_ylabel() == "map"
    drawn = [c for c in figure.axes[0].collections if c.get_array() is not None]
    found = [float(np.mean(lines.get_array())) for lines in drawn]
    assert found == [0, 0, 1, -1, *[0] * 9]  # I, aVR, V1, V4, and so on; last the rhythm strip
    assert drawn[2].get_linewidths()[0] > 2 * drawn[0].get_linewidths()[0]
    figure.draw_without_rendering()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": "12x1"}, "layout must be 3x4 or 6x2, got '12x1'."),
        ({"signal_mv": np.zeros((12, 1000))}, "signal_mv must be (samples, 12), got shape (12, 10"),
        ({"overlay": np.zeros(7)}, "overlay must be (samples,) or (samples, 12) like the signal"),
        ({"trace_weights": np.zeros(1000)}, "trace_weights must be (samples, 12) like the signal"),
        ({"trace_weights": np.full((1000, 12), -2.0)}, "trace_weights must lie in [-1, 1], got -2"),
        (
            {"trace_weights": np.zeros((1000, 12)), "overlay": np.zeros(1000)},
            "trace_weights must be given without overlay, got both. Draw two figures.",
        ),
        ({"overlay": np.full(1000, 2.0)}, "overlay must lie in [0, 1], got 2 to 2."),
    ],
)
def test_what_does_not_fit_is_an_error(changes, message):
    inputs = {"signal_mv": np.zeros((1000, 12)), "rate_hz": 100, **changes}
    with pytest.raises(ValueError) as error:  # noqa: PT011
        plot_ecg(inputs.pop("signal_mv"), **inputs)
    assert message in str(error.value)
