"""The flow shows who was left, who was not and why, and nothing that did not happen."""

import pytest
from matplotlib.patches import FancyBboxPatch

from data_processing.cohort_flow import STATUS_KNOWN
from data_processing.flow_figure import plot_flow


def row(step, counts, reason="", **more):
    names = ("n_patients", "n_records", "n_events")
    return {"step": step, **dict(zip(names, counts, strict=True)), "reason": reason, **more}


FLOW = [
    row("read", (30, 60, 8), "rows of the tables"),
    row("Ischaemic", (20, 42, 7), "Ischaemic (cause is CAD)", stage="eligible", n_missing=2),
    row("Paced", (20, 40, 7), "Paced (rhythm is paced)", stage="eligible"),
    row("ECG dated", (20, 40, 7), "no recording date"),
    row("outcome known", (19, 38, 7), "lost to follow-up"),
    row("analysed", (19, 38, 7), "no readable ECG left"),
]
COMPONENTS = [
    {"name": "sustained_vt", "role": "event", "n_events": 9, "n_within_horizon": 5},
    {"name": "sudden_death", "role": "event", "n_events": 2, "n_within_horizon": 2},
    {"name": "death_other", "role": "competing", "n_events": 4, "n_within_horizon": 3},
]


def words_of(figure):
    return [
        text.get_text().replace("\u00a0", " ") for text in figure.axes[0].texts if text.get_text()
    ]


def test_each_step_is_a_box_and_steps_of_one_stage_share_one():
    assert words_of(plot_flow(FLOW, title="Mine", components=COMPONENTS)) == [
        "Mine",
        "Read\nn = 30; 60 ECGs; 8 events",
        "Excluded (n = 10; 20 ECGs; 1 event):\n"
        "• Ischaemic (cause is CAD) [2 without a value kept]:\n   n = 10; 18 ECGs; 1 event\n"
        "• Paced (rhythm is paced): 2 ECGs",
        "Eligible\nn = 20; 40 ECGs; 7 events",
        "Excluded (n = 1; 2 ECGs):\nLost to follow-up",
        "Outcome known\nn = 19; 38 ECGs; 7 events",
        "Analysed\nn = 19; 38 ECGs; 7 events",
        "With the event: 7\nFirst event:\nsustained vt: 5\nsudden death: 2",
        "Without: 12\nOf these, competing event first:\ndeath other: 3",
    ]


def test_who_is_kept_without_an_outcome_is_not_called_excluded():
    flow = [*FLOW[:4], FLOW[4] | {"step": STATUS_KNOWN}]
    assert words_of(plot_flow(flow))[-4:] == [
        "For time to event only (n = 1; 2 ECGs):\nLost to follow-up",
        "Status at the horizon known\nn = 19; 38 ECGs; 7 events",
        "With the event: 7",
        "Without: 12",
    ]


def test_a_flow_without_events_or_of_one_step_is_drawn():
    flow = [{"step": "read", "n_patients": 1, "n_records": 1, "reason": ""}]
    assert words_of(plot_flow(flow)) == ["Read\nn = 1; 1 ECG"]
    with pytest.raises(ValueError, match="flow must have at least one step, got none"):
        plot_flow([])


@pytest.mark.parametrize("n_steps", [3, 12, 20])
def test_texts_lie_inside_their_boxes_and_boxes_do_not_overlap(n_steps):
    long = "No late gadolinium enhancement imaging (Datum der letzten kardialen MRT missing)"
    flow = [row("read", (900, 2000, 90))]
    for k in range(1, n_steps):
        stage = "eligible" if k % 4 else ""
        flow.append(row(f"{long} {k}", (900 - k, 2000 - 30 * k, 90 - k), long, stage=stage))
    figure = plot_flow(flow, components=COMPONENTS)
    figure.canvas.draw()
    ax = figure.axes[0]
    boxes = [p.get_window_extent() for p in ax.patches if isinstance(p, FancyBboxPatch)]
    texts = [text.get_window_extent() for text in ax.texts if text.get_text()]
    page = figure.bbox
    assert len(boxes) == len(texts)
    for box, text in zip(boxes, texts, strict=True):
        assert page.x0 <= box.x0 < text.x0
        assert text.x1 < box.x1 <= page.x1
        assert box.y0 < text.y0
        assert text.y1 < box.y1
        assert page.y0 <= box.y0
        assert box.y1 <= page.y1
    for k, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[k + 1 :])
