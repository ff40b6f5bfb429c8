"""An answer of the calculator as a picture: ceilings by draft length, or by depth."""

from __future__ import annotations

from pathlib import Path

from harness.calculator.calculator import Answer, CalculatorError, Drafting, Row
from harness.report.escape import figure

ENDINGS = (".svg", ".png", ".pdf")


def check_plot(path: Path) -> None:
    """See that a picture can be of the kind that the file's name says.

    Raises:
        CalculatorError: it cannot.
    """
    if path.suffix.lower() not in ENDINGS:
        raise CalculatorError(f"--plot: {path.name!r} ends with none of {', '.join(ENDINGS)}")


def save_plot(answer: Answer, path: Path) -> None:
    """Draw the rows into a file; its ending says of which kind.

    Raises:
        CalculatorError: the file cannot be written, or its ending is not known.
    """
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    check_plot(path)
    speculates = answer.method != Drafting.NONE.value
    with mpl.rc_context({"svg.hashsalt": "decodebench", "text.parse_math": False}):
        canvas = Figure(figsize=(7, 4), layout="constrained", facecolor="white")
        axes = canvas.subplots()
        for label, points in _lines(answer, speculates):
            x = [row.draft_tokens if speculates else row.depth for row in points]
            axes.plot(x, [row.tokens_per_s for row in points], marker="o", label=label)
        axes.set_xlabel("draft tokens (0: plain)" if speculates else "tokens of context")
        axes.set_ylabel("ceiling, tok/s")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="#dddddd")
        used = next(source for source in answer.bandwidths if source.used)
        what = answer.model or f"{answer.active_bytes / 1e9:.2f} GB a token"
        axes.set_title(figure(f"{what}, {used.bytes_per_s / 1e9:.4g} GB/s ({used.kind})")[:90])
        if len({row.depth for row in answer.rows}) > 1 and speculates:
            axes.legend(frameon=False)
        try:
            canvas.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
        except OSError as error:
            raise CalculatorError(
                f"--plot: cannot write {path}: {error.strerror or error}"
            ) from error


def _lines(answer: Answer, speculates: bool) -> list[tuple[str, list[Row]]]:
    """Of speculation a line for each depth, else one over all depths."""
    if not speculates:
        return [("plain", sorted(answer.rows, key=lambda row: row.depth))]
    lines: dict[int, list[Row]] = {}
    for row in sorted(answer.rows, key=lambda row: row.draft_tokens):
        lines.setdefault(row.depth, []).append(row)
    return [(f"{depth} tokens of context", rows) for depth, rows in lines.items()]
