"""An inspection on a terminal. Texts of model files are shown as text, never as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.inspection.cache_size import CacheSize
from harness.inspection.inspection import InspectedDraft, Inspection
from harness.inspection.room import Room
from harness.models.errors import printable
from harness.models.facts import ModelFacts
from harness.report.numbers import UNKNOWN, counted, size

Cells = tuple[str, ...]


def render(inspection: Inspection) -> RenderableType:
    """What `bench inspect` prints: the model, its weights, its cache, its draft, the memory."""
    parts: list[RenderableType] = [
        _heading(_name(inspection.path)),
        _lines(_model(inspection)),
        Text(),
        _heading("Weights"),
        _indented(_weights(inspection)),
        _lines(_reading(inspection)),
    ]
    if inspection.cache is not None and inspection.cache.rows:
        parts += [Text(), _heading(_cache_title(inspection.cache)), _cache(inspection.cache)]
    if inspection.draft is not None:
        name = _name(inspection.draft.path)
        parts += [Text(), _heading(f"Draft: {name}"), _lines(_draft(inspection.draft))]
    parts += [Text(), _heading("Memory"), _lines(_memory(inspection))]
    if inspection.notes:
        parts += [Text(), *(_indented(Text(printable(note))) for note in inspection.notes)]
    return Group(*parts)


# ---- the model -----------------------------------------------------------------------------------


def _model(inspection: Inspection) -> list[Cells]:
    facts = inspection.facts
    kind = [facts.name or "unnamed", facts.architecture, facts.format, facts.quantization or ""]
    rows = [
        ("model", ", ".join(part for part in kind if part)),
        ("size", f"{size(facts.tensor_bytes)} in {counted(inspection.files, 'file')}"),
        ("parameters", _parameters(inspection)),
        ("shape", _shape(facts)),
    ]
    if facts.experts is not None:
        used = facts.experts_used or "an unknown number"
        rows.append(("experts", f"{used} of {facts.experts} for a token"))
    return [*rows, ("MTP", _mtp(facts))]


def _parameters(inspection: Inspection) -> str:
    total, active = inspection.facts.parameters, inspection.active_parameters
    read = "all" if active == total else _count(active)
    return f"{_count(total)}, {read} of them read for a token"


def _shape(facts: ModelFacts) -> str:
    said = [
        counted(facts.layers, "layer"),
        "" if facts.width is None else f"width {facts.width:,}",
        f"vocabulary {facts.vocabulary:,}" if facts.vocabulary else "",
        "" if facts.training_context is None else f"trained on {facts.training_context:,} tokens",
    ]
    return ", ".join(part for part in said if part)


def _mtp(facts: ModelFacts) -> str:
    if facts.mtp_only:
        return f"heads alone ({counted(facts.mtp_layers, 'layer')}), without their model"
    if facts.mtp_layers:
        each = f", {size(facts.mtp_active_bytes)} read for each drafted token"
        return f"present: {counted(facts.mtp_layers, 'layer')}{each}"
    if facts.mtp_declared:
        return f"stripped: {counted(facts.mtp_declared, 'layer')} declared, none of them there"
    return "none"


# ---- weights -------------------------------------------------------------------------------------


def _weights(inspection: Inspection) -> Table:
    rows: list[Cells] = [
        (
            row.role,
            row.type,
            str(row.tensors),
            _count(row.parameters),
            size(row.bytes),
            size(row.read_bytes) if row.read_bytes else UNKNOWN,
        )
        for row in inspection.weights
    ]
    facts = inspection.facts
    total = (
        "all",
        "",
        str(sum(row.tensors for row in inspection.weights)),
        _count(facts.parameters),
        size(facts.tensor_bytes),
        size(facts.active_bytes),
    )
    header = ("role", "type", "tensors", "parameters", "size", "read per token")
    return _table(header, [*rows, total], texts=2, total=True)


def _reading(inspection: Inspection) -> list[Cells]:
    facts = inspection.facts
    rows: list[Cells] = [("active", f"{facts.active_bytes:,} bytes of weights read per token")]
    rows += [("left out", f"{size(left.bytes)} of {left.reason}") for left in inspection.unread]
    return rows


# ---- cache ---------------------------------------------------------------------------------------


def _cache_title(cache: CacheSize) -> str:
    types = f"{cache.key_type} keys, {cache.value_type} values"
    return f"KV cache: {types}, {cache.context:,} tokens of context"


def _cache(cache: CacheSize) -> RenderableType:
    rows: list[Cells] = [
        (
            row.kind,
            str(row.layers),
            UNKNOWN if row.window is None else f"{row.window:,}",
            f"{row.bytes_per_token:,} B" if row.bytes_per_token else UNKNOWN,
            _size(row.read_bytes),
            _size(row.held_bytes),
        )
        for row in cache.rows
    ]
    total = ("all", "", "", "", size(cache.read_bytes), size(cache.held_bytes))
    header = ("layers", "number", "window", "per token", "read per token", "held")
    table = _table(header, [*rows, total], texts=1, total=True)
    growth = ("growth", f"{cache.bytes_per_token:,} bytes for each further token of context")
    return Group(_indented(table), _lines([growth]))


# ---- draft and memory ----------------------------------------------------------------------------


def _draft(draft: InspectedDraft) -> list[Cells]:
    facts, fitness = draft.facts, draft.fitness
    fits = fitness.reason_against is None
    rows: list[Cells] = [
        ("model", f"{facts.architecture}, {facts.format}, {size(facts.tensor_bytes)}"),
        ("method", f"--method {fitness.method}"),
        ("works", "yes, as far as the files tell" if fits else f"no: {fitness.reason_against}"),
    ]
    if fitness.longest is not None:
        rows.append(("draft length", f"at most {fitness.longest}: {fitness.limit}"))
    if draft.cache is not None:
        growth = f"{draft.cache.bytes_per_token:,} bytes of cache for each token of context"
        each = "draft, whatever its length" if facts.drafts_blocks else "drafted token"
        rows.append(("reads", f"{size(draft.drafting_bytes)} for each {each}"))
        if draft.cache.bytes_per_token:
            rows.append(("keeps", growth))
    return rows


def _memory(inspection: Inspection) -> list[Cells]:
    parts = [f"weights {size(inspection.facts.tensor_bytes)}"]
    cache, draft = inspection.cache, inspection.draft
    parts.append("cache not known" if cache is None else f"cache {size(cache.held_bytes)}")
    if draft is not None:
        parts.append(f"draft {size(draft.facts.tensor_bytes)}")
        if draft.cache is None or draft.cache.held_bytes:
            held = None if draft.cache is None else draft.cache.held_bytes
            parts.append(f"its cache {_size(held)}")
    needed = f"{size(inspection.needed_bytes)}: {' + '.join(parts)}"
    return [("needed", needed), *(("", _room(room)) for room in inspection.room)]


def _room(room: Room) -> str:
    memory = room.memory
    of = "free" if memory.is_free else "in all, other programs' share not known"
    spare = size(abs(room.spare_bytes))
    verdict = f"fits, {spare} to spare" if room.fits else f"does not fit, {spare} too little"
    return f"{memory.name}: {verdict} ({size(memory.bytes)} {of})"


# ---- how it looks --------------------------------------------------------------------------------


def _table(header: Cells, rows: Sequence[Cells], *, texts: int, total: bool) -> Table:
    """The first `texts` columns hold words, the others numbers; `total`: the last row is a sum."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="cyan")
    for number, title in enumerate(header):
        table.add_column(title, justify="left" if number < texts else "right", overflow="fold")
    for number, row in enumerate(rows):
        last = total and number == len(rows) - 1
        cells = [Text(printable(cell), style="bold" if last else "") for cell in row]
        table.add_row(*cells, end_section=total and number == len(rows) - 2)
    return table


def _lines(rows: Iterable[Cells]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True, min_width=10)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, Text(printable(text)))
    return _indented(table)


def _indented(what: RenderableType) -> RenderableType:
    return Padding(what, (0, 0, 0, 2))


def _heading(text: str) -> Text:
    return Text(printable(text), style="bold")


def _name(path: str) -> str:
    return Path(path).name or path


def _size(value: int | None) -> str:
    return "not known" if value is None else size(value) if value else UNKNOWN


def _count(number: int) -> str:
    """'134.5 M', '30.53 B'."""
    for unit, of_it in ((" B", 1e9), (" M", 1e6), (" k", 1e3)):
        if number >= of_it:
            return f"{number / of_it:.{2 if unit == ' B' else 1}f}{unit}"
    return str(number)
