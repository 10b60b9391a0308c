"""How a cohort came about, as boxes from top to bottom (CONSORT 2010, doi:10.1136/bmj.c332)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from data_processing.cohort_flow import STATUS_KNOWN

_LINE, _PAD, _GAP = 0.21, 0.11, 0.16  # inches: a line of text, the margin of a box, between boxes
_MIDDLE, _SIDE = (0.1, 3.5), (4.1, 4.9)  # inches: left edge and width of the two columns
_WIDTH = _SIDE[0] + _SIDE[1] + 0.1
_LEFT_CHARACTERS, _SIDE_CHARACTERS = 38, 54
_FONT_SIZE = 10.5
_Lost = tuple[dict[str, Any], dict[str, int]]  # a step and what it left out
_KEPT, _LOST, _ENDS = ("#E8F1F8", "#0072B2"), ("#FFF6E5", "#B26B00"), ("#EEF6EE", "#2E7D32")


def plot_flow(
    flow: Sequence[dict[str, Any]],
    *,
    components: Sequence[dict[str, Any]] = (),
    title: str = "",
) -> Figure:
    """Draw who was left after each step, and who was not and why.

    Parameters
    ----------
    flow
        Of ``finish_cohort``: dicts with ``step, n_patients, n_records, reason``, and ``n_events``
        where the outcome is known. Steps that excluded nothing are left out; neighbours of one
        ``stage`` share a box.
    components
        Of ``count_components``: what the events of the last box were.
    title
        Above the boxes.

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the flow is empty.
    """
    if not flow:
        raise ValueError("flow must have at least one step, got none. Run the selection first.")
    boxes = _boxes(flow)
    ends = _ends(flow[-1], components)
    height = sum(box["height"] for box in boxes) - boxes[0]["arrow"]
    height += max((_height(text) + 2 * _GAP for text in ends), default=0.0)
    figure = plt.figure(figsize=(_WIDTH, height + 0.1 + 0.35 * bool(title)))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, _WIDTH), ylim=(-height - 0.05, 0.05 + 0.35 * bool(title)))
    ax.axis("off")
    if title:
        ax.text(_MIDDLE[0], 0.1, title, fontsize=12, va="bottom")
    top = _draw_boxes(ax, boxes)
    if ends:
        _draw_ends(ax, ends, top)
    return figure


def _boxes(flow: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the boxes: the first, every step or stage that changed something, the last."""
    boxes = [_box_of(flow[0], [])]
    before, lost = flow[0], []
    for row, following in pairwise([*flow[1:], {}]):
        names = [name for name in ("n_patients", "n_records", "n_events") if name in row]
        names = [name for name in names if name in before]  # not before the tables were read
        counts = {name: before[name] - row[name] for name in names}
        lost += [(row, counts)] if any(counts.values()) else []
        before = row
        stage = row.get("stage", "")
        if stage and stage == following.get("stage", ""):
            continue
        if lost or not following:
            boxes.append(_box_of(row, lost))
        lost = []
    return boxes


def _box_of(
    row: dict[str, Any], lost: list[tuple[dict[str, Any], dict[str, int]]]
) -> dict[str, Any]:
    """Return the texts and heights of a step and of what was left out before it."""
    words = _wrapped(row.get("stage") or row["step"], _LEFT_CHARACTERS)
    box = {"kept": f"{words}\n{_counted(row)}", "lost": ""}
    if len(lost) == 1:
        (step, counts), *_ = lost
        what = "For time to event only" if step["step"] == STATUS_KNOWN else "Excluded"
        box["lost"] = f"{what} ({_counted(counts)}):\n{_wrapped(_reason(step), _SIDE_CHARACTERS)}"
    elif lost:
        total = {name: sum(counts[name] for _, counts in lost) for name in lost[0][1]}
        lines = [f"Excluded ({_counted(total)}):"]
        for step, counts in lost:
            text = f"• {_reason(step)}: {_counted(counts)}"
            lines.append(textwrap.fill(text, _SIDE_CHARACTERS, subsequent_indent="   "))
        box["lost"] = "\n".join(lines)
    # A side box stands beside the arrow above its step.
    box["side"] = _height(box["lost"]) if box["lost"] else 0.0
    box["arrow"] = box["side"] + 2 * _GAP
    box["height"] = box["arrow"] + _height(box["kept"])
    return box


def _reason(row: dict[str, Any]) -> str:
    """Return why a step left something out, and for whom it could not be told."""
    n_missing = row.get("n_missing", 0)
    kept = f" [{n_missing:,} without a value kept]" if n_missing else ""
    return row["reason"][:1].upper() + row["reason"][1:] + kept


def _draw_boxes(ax: Axes, boxes: list[dict[str, Any]]) -> float:
    """Draw the steps from the top; return where the last box ends."""
    top, x = 0.0, _MIDDLE[0] + _MIDDLE[1] / 2
    for number, box in enumerate(boxes):
        arrow = box["arrow"] if number else 0.0
        if arrow:
            _arrow(ax, (x, top), (x, top - arrow))
        if box["lost"]:
            middle = top - arrow / 2
            _arrow(ax, (x, middle), (_SIDE[0], middle))
            _box(ax, (_SIDE[0], middle + box["side"] / 2), _SIDE[1], box["lost"], _LOST)
        top -= arrow
        _box(ax, (_MIDDLE[0], top), _MIDDLE[1], box["kept"], _KEPT)
        top -= _height(box["kept"])
    return top


def _ends(last: dict[str, Any], components: Sequence[dict[str, Any]]) -> list[str]:
    """Return the texts of the two boxes at the end: with and without the event."""
    if "n_events" not in last:
        return []
    parts: dict[str, list[str]] = {"event": [], "competing": []}
    for item in components:
        name = item["name"].replace("_", " ")
        parts[item["role"]].append(f"{name}: {item['n_within_horizon']:,}")
    n_events = last["n_events"]
    texts = [f"With the event: {n_events:,}", f"Without: {last['n_patients'] - n_events:,}"]
    for number, names in enumerate(parts.values()):
        heading = ("First event", "Of these, competing event first")[number]
        if names:
            lines = [
                textwrap.fill(name, _LEFT_CHARACTERS, subsequent_indent="  ") for name in names
            ]
            texts[number] += f"\n{heading}:\n" + "\n".join(lines)
    return texts


def _draw_ends(ax: Axes, texts: list[str], top: float) -> None:
    """Draw the two boxes below the last step, side by side."""
    x = _MIDDLE[0] + _MIDDLE[1] / 2
    below = top - 2 * _GAP
    ax.plot([x, x], [top, top - _GAP], color="#444", linewidth=1)
    ax.plot([x, _SIDE[0] + _MIDDLE[1] / 2], [top - _GAP] * 2, color="#444", linewidth=1)
    for left, text in zip((_MIDDLE[0], _SIDE[0]), texts, strict=True):
        centre = left + _MIDDLE[1] / 2
        _arrow(ax, (centre, top - _GAP), (centre, below))
        _box(ax, (left, below), _MIDDLE[1], text, _ENDS)


def _wrapped(text: str, n_characters: int) -> str:
    return textwrap.fill(text[:1].upper() + text[1:], n_characters)


def _counted(row: dict[str, Any]) -> str:
    """Return the counts of a step that are not 0."""
    parts = [f"n = {row['n_patients']:,}"] if row["n_patients"] else []
    for name, word in (("n_records", "ECG"), ("n_events", "event")):
        n = row.get(name, 0)
        parts += [f"{n:,} {word}{'' if n == 1 else 's'}"] if n else []
    return "; ".join(parts).replace(" ", "\u00a0").replace(";\u00a0", "; ")  # breaks there only


def _height(text: str) -> float:
    return _LINE * (text.count("\n") + 1) + _PAD


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": "#444", "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", xy=end, xytext=start, arrowprops=style)


def _box(
    ax: Axes, corner: tuple[float, float], width: float, text: str, colours: tuple[str, str]
) -> None:
    """Draw a box whose left upper corner is given."""
    height = _height(text)
    face, edge = colours
    patch = FancyBboxPatch(
        (corner[0], corner[1] - height),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.05",
        facecolor=face,
        edgecolor=edge,
    )
    ax.add_patch(patch)
    x, y = corner[0] + 0.1, corner[1] - height / 2
    ax.text(x, y, text, va="center", ha="left", fontsize=_FONT_SIZE, linespacing=1.25)
