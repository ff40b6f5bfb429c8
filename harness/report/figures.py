"""Decode rate and acceptance by the number of draft tokens: one picture for each workload."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.analysis.settings import series_name
from harness.analysis.trial import TrialSummary
from harness.report import escape

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.typing import RcKeyType

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette, told apart with any kind of colour vision; yellow is left out, since
white paper swallows it. Markers and dashes tell lines apart too."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":")
PLAIN_COLOUR = "#555555"
LONGEST_LABEL = 64
"""Characters of one line of text that the figure has room for."""

STYLE: dict[RcKeyType, object] = {
    "svg.hashsalt": "decodebench",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Figure:
    """A drawn figure. `svg` is a whole file; the same rows give the same bytes."""

    name: str
    """A file name without its ending, unique in the report."""
    title: str
    svg: str


def draw_figures(rows: Sequence[TrialSummary]) -> tuple[Figure, ...]:
    """One figure for each workload and `max_tokens` that has a measured draft length.

    Settings whose drafts are accepted by draw are not in it: no drafter makes these points.
    """
    arms_of: dict[tuple[str, int], list[TrialSummary]] = {}
    for row in (row for row in rows if row.arm.synthetic is None):
        arms_of.setdefault((row.workload, row.max_tokens), []).append(row)
    several = len({max_tokens for _, max_tokens in arms_of}) > 1
    figures: list[Figure] = []
    for (workload, max_tokens), group in arms_of.items():
        if not any(row.arm.draft_tokens and row.decode_rate for row in group):
            continue
        title = f"{workload}, {max_tokens} tokens" if several else workload
        name = f"{len(figures) + 1}-{escape.file_name(title)}"
        figures.append(Figure(name, title, _draw(title, group)))
    return tuple(figures)


def _draw(title: str, rows: Sequence[TrialSummary]) -> str:
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure as Canvas  # noqa: PLC0415

    # The object interface alone: no pyplot, so no window system and no state between figures.
    with mpl.rc_context(STYLE):
        canvas = Canvas(layout="constrained", facecolor="white")
        FigureCanvasSVG(canvas)
        top, bottom = canvas.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        legend = [*_draw_plain(top, rows), *_draw_series(top, bottom, rows)]
        columns = 2 if max(len(entry.label) for entry in legend) <= LONGEST_LABEL // 2 else 1
        canvas.set_size_inches(6.2, 4.6 + 0.22 * -(-len(legend) // columns))
        lengths = sorted(
            {row.arm.draft_tokens for row in rows if row.arm.draft_tokens and row.decode_rate}
        )
        bottom.set_xticks(lengths)
        bottom.set_xlim(lengths[0] - 0.5, lengths[-1] + 0.5)
        bottom.set_xlabel("draft tokens (k)")
        bottom.set_ylabel("acceptance rate")
        bottom.set_ylim(0, 1.04)
        top.set_ylabel("tokens per second")
        top.set_ylim(bottom=0)
        top.set_title(_short(title), loc="left", fontweight="bold")
        canvas.legend(
            [entry.artist for entry in legend],
            [entry.label for entry in legend],
            loc="outside lower center",
            ncols=columns,
        )
        out = io.StringIO()
        canvas.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


@dataclass(frozen=True)
class _Entry:
    """A line of the legend."""

    label: str
    artist: Artist


def _draw_plain(axes: Axes, rows: Sequence[TrialSummary]) -> list[_Entry]:
    """A horizontal line for each plain arm, with its interval as a band."""
    entries = []
    plains = [row for row in rows if row.arm.is_baseline and row.decode_rate is not None]
    for row, dashes in zip(plains, itertools.cycle(("--", ":", "-."))):
        if row.decode_rate is None:
            continue
        line = axes.axhline(row.decode_rate.value, color=PLAIN_COLOUR, ls=dashes, lw=1.4)
        entries.append(_Entry(_legend_text(row.setting), line))
        interval = row.decode_rate.interval
        if interval is not None:
            axes.axhspan(interval.low, interval.high, color=PLAIN_COLOUR, alpha=0.18, lw=0)
    return entries


def _draw_series(top: Axes, bottom: Axes, rows: Sequence[TrialSummary]) -> list[_Entry]:
    """A line for each way of drafting, through its draft lengths."""
    arms = [row.arm for row in rows]
    series: dict[str, list[TrialSummary]] = {}
    for row in rows:
        if row.arm.draft_tokens is not None and row.decode_rate is not None:
            series.setdefault(series_name(row.arm, arms), []).append(row)
    entries = []
    for index, (name, points) in enumerate(series.items()):
        points.sort(key=lambda row: row.arm.draft_tokens or 0)
        # Whiskers of the same k stand beside each other, not on each other.
        shift = 0.06 * (index - (len(series) - 1) / 2)
        colour = COLOURS[index % len(COLOURS)]
        marker = MARKERS[index % len(MARKERS)]
        dashes = DASHES[index // len(COLOURS) % len(DASHES)]
        places = [(row.arm.draft_tokens or 0) + shift for row in points]
        rates = [row.decode_rate for row in points if row.decode_rate is not None]
        top.errorbar(
            places,
            [rate.value for rate in rates],
            yerr=[
                [rate.value - rate.interval.low if rate.interval else 0 for rate in rates],
                [rate.interval.high - rate.value if rate.interval else 0 for rate in rates],
            ],
            capsize=3,
            color=colour,
            marker=marker,
            ls=dashes,
            ms=5,
            lw=1.4,
        )
        accepted = [
            (place, row.speculating.acceptance_rate)
            for place, row in zip(places, points, strict=True)
            if row.speculating.acceptance_rate is not None
        ]
        (line,) = bottom.plot(
            [place for place, _ in accepted],
            [share for _, share in accepted],
            color=colour,
            marker=marker,
            ls=dashes,
            ms=5,
            lw=1.4,
        )
        entries.append(_Entry(_legend_text(name), line))
    return entries


def _legend_text(name: str) -> str:
    # matplotlib hides what starts with an underscore.
    return _short(name).lstrip("_")


def _short(name: str) -> str:
    """What fits into the figure's width; both ends are kept, since names differ at either."""
    name = escape.figure(name)
    half = LONGEST_LABEL // 2 - 2
    return name if len(name) <= LONGEST_LABEL else f"{name[:half]} ... {name[-half:]}"
