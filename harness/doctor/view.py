"""A diagnosis on a terminal. Texts of runners and drivers are shown as text, never as markup."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.doctor.doctor import Diagnosis, RunnerState
from harness.machine.bandwidth import Bandwidth
from harness.machine.fingerprint import Gpu, Machine
from runners.base.support import MethodSupport

ASK = "bench sweep --url http://localhost:8080/v1 --dry-run tells what a server is"
"""What `bench doctor` says of servers that already run, of which it knows none."""


def render(diagnosis: Diagnosis) -> RenderableType:
    """What `bench doctor` prints: the machine, then each runner."""
    parts: list[RenderableType] = [_heading("Machine"), _rows(_machine_rows(diagnosis.machine))]
    parts += [Padding(_text(note, "yellow"), (0, 0, 0, 2)) for note in diagnosis.notes]
    parts += [Text(), _heading("Runners")]
    for runner in diagnosis.runners:
        parts += [_runner_line(runner), Padding(_rows(_runner_rows(runner)), (0, 0, 0, 2))]
    if not diagnosis.runners:
        parts.append(Text("  none known"))
    return Group(*parts)


def _machine_rows(machine: Machine) -> list[tuple[str, Text]]:
    virtual = {True: ", virtual machine", False: "", None: ""}[machine.virtual]
    rows = [
        ("system", _text(f"{machine.system}{virtual}")),
        ("python", _text(machine.python)),
        ("processor", _text(machine.cpu)),
        ("cores", _text(f"{machine.cores} physical, {machine.threads} logical")),
    ]
    if machine.last_level_cache_bytes is not None:
        rows.append(
            ("cache", _text(f"{machine.last_level_cache_bytes / 2**20:.0f} MiB last level"))
        )
    rows.append(("memory", _text(f"{machine.memory_bytes / 2**30:.1f} GiB")))
    rows.append(("bandwidth", _bandwidth(machine.bandwidth)))
    rows += [("GPU", _gpu(gpu)) for gpu in machine.gpus] or [("GPU", _text("none found", "dim"))]
    return rows


def _bandwidth(bandwidth: Bandwidth | None) -> Text:
    if bandwidth is None:
        return _text("not measured", "dim")
    return _text(
        f"{bandwidth.bytes_per_s / 1e9:.1f} GB/s read, {bandwidth.threads} threads over "
        f"{bandwidth.buffer_bytes / 2**20:.0f} MiB, best of {len(bandwidth.readings)}"
    )


def _gpu(gpu: Gpu) -> Text:
    facts = [gpu.name]
    if gpu.memory_bytes is not None:
        facts.append(f"{gpu.memory_bytes / 2**30:.1f} GiB")
    if gpu.bandwidth_bytes_per_s is not None:
        facts.append(f"{gpu.bandwidth_bytes_per_s / 1e9:.0f} GB/s nominal")
    if gpu.driver is not None:
        facts.append(f"driver {gpu.driver}")
    return _text(", ".join(facts))


def _runner_line(runner: RunnerState) -> Text:
    # Nothing is amiss where no server was named.
    lacking = ("on request", "dim") if runner.attached else ("missing", "yellow")
    state = ("found", "green") if runner.found else lacking
    line = Text.assemble((_plain(runner.name), "bold"), "  ", state)
    return line.append(f" {_plain(runner.version)}") if runner.version else line


def _runner_rows(runner: RunnerState) -> list[tuple[str, Text]]:
    rows = [
        ("where", runner.where),
        ("devices", ", ".join(runner.devices)),
        ("reads", ", or ".join(packaging.words for packaging in runner.packagings)),
        ("acceptance", runner.acceptance_source),
        ("reason", None if runner.attached else runner.reason),
        ("advice", ASK if runner.attached and not runner.found else runner.advice),
    ]
    shown = [(label, _text(value)) for label, value in rows if value]
    shown += [("", _method(m)) for m in runner.methods if m.supported]
    lacking: dict[str, list[str]] = {}
    for method in runner.methods:
        if not method.supported:
            lacking.setdefault(method.note, []).append(method.method)
    for note, names in lacking.items():
        shown.append(("", _text(f"not {', '.join(names)}: {note}", "dim")))
    first = next((n for n, (label, _) in enumerate(shown) if not label), None)
    if first is not None:
        shown[first] = ("methods", shown[first][1])
    return shown


def _method(method: MethodSupport) -> Text:
    text = _text(method.method)
    return text.append(f": {_plain(method.note)}", "dim") if method.note else text


def _rows(rows: Iterable[tuple[str, Text]]) -> Table:
    """Labels beside texts that wrap in a column of their own."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="cyan", no_wrap=True, min_width=10)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(label, text)
    return table


def _heading(text: str) -> Text:
    return Text(text, style="bold")


def _text(text: str, style: str = "") -> Text:
    return Text(_plain(text), style=style)


def _plain(text: str) -> str:
    """Without characters that steer a terminal; line breaks become spaces."""
    words = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)
