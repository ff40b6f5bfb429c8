"""One sweep over many servers that already run, the broken ones among them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.records import Launch, Sample
from harness.report.content import Report, build_report
from harness.run_folder import RunData, read_run
from tests.transcripts.server import Faults, TranscriptServer, playing, self_signed
from tests.transcripts.transcript import Transcript, for_any_limit, read

pytestmark = pytest.mark.slow

TOKENS = 24
KEY = "sk-hunter2-hunter2"
GUISES = (
    "llama-server-mtp",
    "vllm-mtp",
    "sglang",
    "tgi",
    "tensorrt-llm",
    "tensorrt-llm-old",
    "lm-studio",
    "mlx-lm",
    "ollama",
    "openai",
    "reasoning",
)
BREAKS = {
    "dies": Faults(break_after=3),
    "busy": Faults(status=429, retry_after_s=1),
    "fails": Faults(status=500),
    "hangs": Faults(hang_after=3),
    "garbles": Faults(garbage_after=3),
}
"""From the measured requests on."""
REFUSES = {"locked": "HTTP 401", "unknown": "certificate is not trusted", "gone": "no connection"}

HEAD = """
name = "many"
runner = [{names}]
workloads = "coding"
prompts = 2
max_tokens = 24
repeats = 1
request_timeout_s = 2
start_timeout_s = 4
"""


@dataclass(frozen=True)
class Swept:
    status: int
    errors: str
    folder: Path
    run: RunData
    report: Report

    def _arms(self, name: str) -> set[str]:
        names = (name, runner(name))
        return {arm.id for arm in self.run.manifest.arms if arm.runner in names}

    def samples(self, name: str) -> list[Sample]:
        arms = self._arms(name)
        return [sample for sample in self.run.samples if sample.arm in arms]

    def failure(self, name: str) -> str:
        (row,) = [row for row in self.report.rows if row.arm.runner == runner(name)]
        return " ".join([row.failure or "", *row.notes])

    def launches(self, name: str) -> list[Launch]:
        arms = self._arms(name)
        return [launch for launch in self.run.launches if launch.arm in arms]


def breaking(server: TranscriptServer, faults: Faults) -> None:
    """Break the server once it has answered the probe and the warm-up, in the next answer."""

    def watch() -> None:
        while sum(seen.method == "POST" for seen in server.seen) < 3:
            time.sleep(0.002)
        server.faults = faults

    threading.Thread(target=watch, daemon=True).start()


def runner(name: str) -> str:
    """What the suite calls the server: 'ollama' alone is a runner of its own."""
    return f"{name}-there"


def any_length(name: str) -> Transcript:
    return for_any_limit(read(name), TOKENS)


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[dict[str, str]]:
    """Name of a server -> its URL."""
    with contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(playing(any_length(name))).url for name in GUISES}
        for name, faults in BREAKS.items():
            server = stack.enter_context(playing(any_length("keep-alive")))
            breaking(server, faults)
            urls[name] = server.url
        urls["locked"] = stack.enter_context(
            playing(any_length("openai"), faults=Faults(bearer=KEY))
        ).url
        tls = self_signed(folder).context
        urls["unknown"] = stack.enter_context(playing("openai", tls=tls)).url
        urls["gone"] = "http://127.0.0.1:1"
        yield urls


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    folder = tmp_path_factory.mktemp("many")
    with servers(folder) as urls:
        names = ", ".join(f'"{name}"' for name in ("mock", *map(runner, urls)))
        tables = [
            f'[runners."{runner(name)}"]\nrunner = "endpoint"\nurl = "{url}"\n'
            for name, url in urls.items()
        ]
        tables[list(urls).index("locked")] += 'api_key_env = "WRONG_KEY"\n'
        suite = folder / "suite.toml"
        suite.write_text("\n".join([HEAD.format(names=names), *tables]))
        command = [sys.executable, "-m", "harness.cli", "sweep", str(suite), "--out", "run"]
        result = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "WRONG_KEY": "sk-wrong-hunter2"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    assert (folder / "run" / "manifest.json").exists(), result.stderr
    run = read_run(folder / "run")
    return Swept(result.returncode, result.stderr, folder / "run", run, build_report(run))


@pytest.mark.parametrize("name", GUISES)
def test_each_kind_of_server_is_measured(swept: Swept, name: str) -> None:
    samples = swept.samples(name)
    assert [sample.status for sample in samples] == ["ok", "ok"], samples
    assert {sample.output_tokens for sample in samples} == {TOKENS}


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("llama-server-mtp", (30, 12)),
        ("vllm-mtp", (33, 12)),
        ("sglang", (30, 13)),
        ("tgi", (None, 13)),
        ("tensorrt-llm", (30, 13)),
        ("tensorrt-llm-old", (30, 13)),
        ("lm-studio", (30, 13)),
        ("mlx-lm", (None, None)),
        ("ollama", (None, None)),
        ("openai", (None, None)),
    ],
)
def test_acceptance_is_each_servers_own(
    swept: Swept, name: str, counts: tuple[int | None, int | None]
) -> None:
    assert {(sample.drafted, sample.accepted) for sample in swept.samples(name)} == {counts}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dies", "the server"),
        ("busy", "HTTP 429: told to fail"),
        ("fails", "HTTP 500: told to fail"),
        ("hangs", "no end after 2 s"),
        ("garbles", "the server"),
    ],
)
def test_a_server_that_breaks_is_a_row_with_its_reason(swept: Swept, name: str, words: str) -> None:
    failed = [sample for sample in swept.samples(name) if sample.status == "failed"]
    assert failed
    assert all(words in (sample.reason or "") for sample in failed), failed
    assert words in swept.failure(name)


@pytest.mark.parametrize(("name", "words"), list(REFUSES.items()))
def test_a_server_that_lets_nobody_in_is_a_row_with_its_reason(
    swept: Swept, name: str, words: str
) -> None:
    assert swept.samples(name) == []
    assert {launch.status for launch in swept.launches(name)} == {"failed"}
    assert words in swept.failure(name)


def test_the_others_are_measured_all_the_same(swept: Swept) -> None:
    assert swept.status == 1
    assert {sample.status for sample in swept.samples("mock")} == {"ok"}
    assert swept.errors.count("Traceback") == 0


def test_one_report_holds_them_all(swept: Swept) -> None:
    for file in ("report.md", "report.html"):
        text = (swept.folder / file).read_text()
        assert all(name in text for name in ("mock", *GUISES, *BREAKS, *REFUSES))


def test_no_key_is_written_anywhere(swept: Swept) -> None:
    files = [path for path in swept.folder.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert not any(b"hunter2" in path.read_bytes() for path in files)
    assert "hunter2" not in swept.errors
