"""An answer of the calculator on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.calculator.bandwidths import UNNAMED, Source
from harness.calculator.calculator import Answer, Drafting, Row
from harness.report.escape import clean

DECODING_ONLY = "Decoding one request; prefill is bound by arithmetic and not by memory bandwidth."
NOMINAL = " No program reaches a nominal bandwidth: 80-90 % of it is usual for large models."


def render(answer: Answer) -> RenderableType:
    """What `bench ceiling` prints: bandwidths, what is read, the ceilings, and notes."""
    parts: list[RenderableType] = [_facts(answer), Text(), _table(answer)]
    parts += [_text(f"- {note}", "yellow") for note in answer.notes]
    if not any(row.best and row.draft_tokens for row in answer.rows) and _speculates(answer):
        parts.append(_text("- no draft length is faster than plain decoding here", "yellow"))
    nominal = any(source.used and source.kind == "nominal" for source in answer.bandwidths)
    return Group(*parts, _text(DECODING_ONLY + (NOMINAL if nominal else ""), "dim"))


def _facts(answer: Answer) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _fact_rows(answer):
        table.add_row(label, text)
    return table


def _fact_rows(answer: Answer) -> Iterable[tuple[str, Text]]:
    if answer.model is not None:
        yield "model", _text(answer.model)
    kv = answer.kv_bytes_per_token
    context = "" if kv is None else f", and {size(kv)} for each token of context"
    yield "a token reads", _text(f"{size(answer.active_bytes)}{context}")
    if answer.draft_bytes:
        whole = ", whatever its length" if answer.drafts_blocks else " for each token"
        yield "a draft reads", _text(size(answer.draft_bytes) + whole)
    if _speculates(answer) and (answer.verify_cost or answer.draft_cost):
        costs = f"{answer.verify_cost:g} for a row more, {answer.draft_cost:g} for a draft"
        yield "costs", _text(f"{costs}, in plain steps")
    for source in answer.bandwidths:
        yield "bandwidth", _bandwidth(source)
        if source.origin and source.kind != "given":
            yield "", _text(source.origin, "dim")


def _bandwidth(source: Source) -> Text:
    text = Text("used: " if source.used else "", "bold green")
    where = "" if source.hardware == UNNAMED else f", {source.hardware}"
    return text.append_text(_text(f"{source.bytes_per_s / 1e9:.4g} GB/s {source.kind}{where}"))


def _table(answer: Answer) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    deep = len({row.depth for row in answer.rows}) > 1 or any(row.depth for row in answer.rows)
    headings = ["depth"] if deep else []
    headings += ["method"]
    if _speculates(answer):
        headings += ["k", "τ"]
    headings += ["read per step", "ceiling tok/s"]
    if _speculates(answer):
        headings += ["x plain", "break-even τ"]
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for row in answer.rows:
        table.add_row(*_cells(row, answer, deep), style="bold green" if row.best else "")
    return table


def _cells(row: Row, answer: Answer, deep: bool) -> list[str]:
    plain = row.draft_tokens == 0
    cells = [f"{row.depth}"] if deep else []
    cells += ["plain" if plain else answer.method]
    if _speculates(answer):
        cells += ["–", "–"] if plain else [f"{row.draft_tokens}", f"{row.acceptance_length:.2f}"]
    cells += [size(row.bytes_per_step), rate(row.tokens_per_s)]
    if _speculates(answer):
        cells += ["–", "–"] if plain else [f"{row.speedup:.2f}x", f"{row.break_even_length:.2f}"]
    return cells


def _speculates(answer: Answer) -> bool:
    return answer.method != Drafting.NONE.value


def size(value: float) -> str:
    """Bytes in powers of ten, as bandwidths are given."""
    for unit, of_it in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= of_it:
            return f"{value / of_it:.{2 if unit == 'GB' else 1}f} {unit}"
    return f"{value:.0f} B"


def rate(value: float) -> str:
    """Tokens per second."""
    return f"{value:.{1 if value >= 10 else 2}f}"


def _text(text: str, style: str = "") -> Text:
    return Text(clean(text), style=style)
