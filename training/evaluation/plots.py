"""The figures as pictures: Dice per structure, reliability of the presence, Dice over clicks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medviewer.io.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _GREY, _ORANGE = "#2a6fb0", "#8a8a8a", "#d0782a"
_MOST_ROWS = 60


def write_plots(out: Path, report: Mapping[str, Any]) -> list[Path]:
    """dice.png, reliability.png and clicks.png in `out`, as far as they were measured. Raises OutputNotWritten."""
    written = []
    if report.get("rows"):
        written.append(_draw(out / "dice.png", lambda axes: dice_plot(axes, report["rows"][:_MOST_ROWS]),
                             (8.0, 1.2 + 0.24 * len(report["rows"][:_MOST_ROWS]))))
    if report.get("reliability"):
        written.append(_draw(out / "reliability.png", lambda axes: reliability_plot(axes, report["reliability"])))
    if report.get("clicks"):
        written.append(_draw(out / "clicks.png", lambda axes: click_plot(axes, report["clicks"])))
    return written


def dice_plot(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """A point per set and structure with its interval; hollow without one."""
    for place, row in enumerate(reversed(rows)):
        if row["low"] is not None:
            axes.plot([row["low"], row["high"]], [place, place], color=_BLUE, linewidth=2)
        face = _BLUE if row["low"] is not None else "white"
        axes.plot(row["dice"], place, "o", color=_BLUE, markerfacecolor=face)
    labels = [f"{row['set'].split('/')[-1]}: {row['structure']} (n = {row['n']})" for row in reversed(rows)]
    axes.set_yticks(range(len(rows)), labels, fontsize=7)
    axes.set_xlim(0, 1)
    axes.set_xlabel("Dice (hollow: fewer than five patients or images)")
    axes.grid(axis="x", color="#dddddd")


def reliability_plot(axes: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    """What share was present over what was foretold; the size of a point tells how many questions."""
    most = max(row["count"] for row in bins)
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
    axes.scatter([row["probability"] for row in bins], [row["present"] for row in bins],
                 s=[20 + 180 * row["count"] / most for row in bins], color=_BLUE, alpha=0.8)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("probability that the structure is present")
    axes.set_ylabel("share that was present")


def click_plot(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    """Mean Dice after text and after every click, a line per set."""
    for row in rows:
        values = [row[f"dice_{n}"] for n in range(6)]
        is_all = row["set"] == "all"
        axes.plot(range(6), values, marker="o", markersize=3, linewidth=3 if is_all else 1,
                  color=_ORANGE if is_all else None, label=f"{row['set'].split('/')[-1]} (n = {row['n']})")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("clicks after text")
    axes.set_ylabel("mean Dice")
    axes.legend(fontsize=6)


def _draw(path: Path, paint: Any, size: tuple[float, float] = (5.0, 4.5)) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(size, layout="constrained", dpi=130)
    paint(figure.add_subplot())
    with atomic_write(path) as temporary:
        FigureCanvasAgg(figure)
        figure.savefig(temporary, format="png")
    return path
