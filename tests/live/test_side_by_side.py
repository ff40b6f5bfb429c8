"""One sweep over the real llama.cpp, vLLM, mlx-lm and OpenVINO GenAI, one model in each one's
packaging; and over servers that already run, real ones and played ones."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.analysis.lossless import Verdict
from harness.analysis.side_by_side import side_by_side
from harness.records import Arm, Sample
from harness.report.content import Report, build_report
from harness.run_folder import RunData, read_run
from tests.live.builds import llama_server, why_absent
from tests.live.half_precision import write_half
from tests.live.not_built import environment_of, why_not
from tests.live.started import started, wait_until_up
from tests.models.export import Family
from tests.transcripts.server import playing
from tests.transcripts.transcript import for_any_limit, read

REASONS = [
    why_absent("embedded"),
    why_absent("llama-server"),
    None if importlib.util.find_spec("openvino_genai") else "openvino-genai is not installed",
    *(why_not(name) if environment_of(name) is None else None for name in ("vllm", "mlx")),
]
ABSENT = next((reason for reason in REASONS if reason is not None), None)
pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.skipif(ABSENT is not None, reason=str(ABSENT)),
]

SUITE = """
name = "sides"
runner = ["llama.cpp", "vllm", "mlx", {there}]
model = {{ gguf = "{family.qwen3}", hf = "{family.qwen3_hf}" }}
draft_model = {{ gguf = "{family.draft}", hf = "{family.draft_hf}" }}
methods = ["draft-model"]
draft_tokens = 2
prompts = 3
max_tokens = 128
repeats = 1
start_timeout_s = 300

[runners."llama.cpp"]
args = {{ threads = 1 }}

[runners.vllm]
program = "{vllm}"
args = {{ dtype = "float32", enforce-eager = true, distributed-executor-backend = "uni" }}

[runners.mlx]
program = "{mlx}"

{attached}

[[arm]]
runner = ["llama.cpp", "vllm"]
method = "mtp"
draft_tokens = "1-5"
model = {{ gguf = "{family.qwen35_mtp}", hf = "{family.qwen35_mtp_hf}" }}

[runners.openvino]
args = {{ threads = 1, INFERENCE_PRECISION_HINT = "f32", KV_CACHE_PRECISION = "f32", \
DYNAMIC_QUANTIZATION_GROUP_SIZE = 0 }}

[[arm]]
runner = ["llama.cpp", "openvino"]
method = "draft-model"
draft_tokens = 2
model = "{half}"
draft_model = "{half_draft}"

[[arm]]
runner = ["vllm", "mlx"]
method = "mtp"
draft_tokens = 2

[[arm]]
runner = "vllm"
method = "eagle3"
draft_tokens = 2
draft_model = "{family.eagle3_shallow}"

[[arm]]
runner = "vllm"
method = "ngram-mod"
draft_tokens = 2

[[arm]]
runner = "vllm"
model = "{family.qwen3_hf}-missing"
"""


HALF = "qwen3-half"
"""OpenVINO reads no weights of single precision; the same model's, in half, lose nothing."""
TOKENS = 24
"""Of the longest answers in the transcripts."""
PLAYED = {
    "sglang": (30, 13),
    "tgi": (None, 13),
    "tensorrt-llm": (30, 13),
    "lm-studio": (30, 13),
    "ollama": (None, None),
    "openai": (None, None),
}
"""Transcript -> (drafted, accepted) of its answer."""
REAL = ("llama-server", "vllm")
SETTINGS = {
    # A process less for each launch of vLLM to wait for, and none that is bound to the first core.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
}


@contextlib.contextmanager
def servers(folder: Path, family: Family) -> Iterator[dict[str, str]]:
    """Servers that already run: their URLs by name."""
    python = Path(str(environment_of("vllm")))
    vllm = [str(python.with_name("vllm")), "serve", str(family.qwen3_hf), "--dtype", "float32"]
    vllm += ["--enforce-eager", "--distributed-executor-backend", "uni"]
    vllm += ["--max-model-len", "1024", "--host", "127.0.0.1"]
    settings = {**SETTINGS, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    llama = [str(llama_server()), "-m", str(family.qwen3), "-c", "2048", "-t", "1", "-tb", "1"]
    with contextlib.ExitStack() as stack:
        real = {
            "vllm": stack.enter_context(started(vllm, folder / "vllm.log", environment=settings)),
            "llama-server": stack.enter_context(started(llama, folder / "llama.log")),
        }
        for address, process in real.values():
            wait_until_up(address, process, 300)
        urls = {name: address for name, (address, _) in real.items()}
        for name in PLAYED:
            told = for_any_limit(read(name), TOKENS)
            urls[name] = stack.enter_context(playing(told, scale=0.2)).url
        yield urls


def there(name: str) -> str:
    """What the suite calls a server: the bare names are runners."""
    return f"{name}-there"


@dataclass(frozen=True)
class Swept:
    """What came of the sweep."""

    status: int
    errors: str
    folder: Path
    run: RunData
    report: Report

    def arm(self, runner: str, method: str, k: int | None, model: str = "qwen3") -> Arm:
        (found,) = [
            arm
            for arm in self.run.manifest.arms
            if (arm.runner, arm.method, arm.draft_tokens) == (runner, method, k)
            and arm.model is not None
            and Path(arm.model).name in (f"{model}.gguf", f"{model}-hf")
            and (arm.impossible is None or model == "qwen3")
        ]
        return found

    def arm_there(self, name: str) -> Arm:
        (found,) = [arm for arm in self.run.manifest.arms if arm.runner == there(name)]
        return found

    def samples(self, arm: Arm) -> list[Sample]:
        return [sample for sample in self.run.samples if sample.arm == arm.id]

    def acceptance(self, arm: Arm) -> float:
        samples = self.samples(arm)
        assert samples
        assert {sample.status for sample in samples} == {"ok"}
        return sum(s.accepted or 0 for s in samples) / sum(s.drafted or 0 for s in samples)

    def texts(self, arm: Arm) -> dict[tuple[str, str], tuple[int, ...] | None]:
        return {(s.workload, s.prompt): s.tokens for s in self.samples(arm)}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, family: Family) -> Swept:
    folder = tmp_path_factory.mktemp("sides")
    suite = folder / "suite.toml"
    programs = {"vllm": environment_of("vllm"), "mlx": environment_of("mlx")}
    with servers(folder, family) as urls:
        attached = [
            f'[runners."{there(name)}"]\nrunner = "endpoint"\nurl = "{url}"\n'
            for name, url in urls.items()
        ]
        names = ", ".join(f'"{there(name)}"' for name in urls)
        halves = {
            "half": write_half(family.qwen3, folder / f"{HALF}.gguf"),
            "half_draft": write_half(family.draft, folder / "draft-half.gguf"),
        }
        tables = {"there": names, "attached": "\n".join(attached)}
        suite.write_text(SUITE.format(family=family, **tables, **halves, **programs))
        command = [sys.executable, "-m", "harness.cli", "sweep", str(suite), "--out", "run"]
        result = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **SETTINGS},
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
        )
    assert (folder / "run" / "manifest.json").exists(), result.stderr
    run = read_run(folder / "run")
    return Swept(result.returncode, result.stderr, folder / "run", run, build_report(run))


def test_plain_tokens_are_the_same_in_all(swept: Swept) -> None:
    texts = [swept.texts(swept.arm(name, "none", None)) for name in ("llama.cpp", "vllm", "mlx")]
    assert len(texts[0]) == 6
    assert all(tokens for tokens in texts[0].values())
    assert texts[0] == texts[1] == texts[2]


def test_openvino_parts_from_llama_cpp_at_near_ties_alone(swept: Swept) -> None:
    arm = swept.arm("openvino", "none", None, HALF)
    found = [
        row.text
        for group in side_by_side(swept.run, swept.report.rows)
        for row in group.others
        if row.trial.arm.id == arm.id
    ]
    assert len(found) == 2
    assert all(text is not None and text.compared == 3 for text in found)
    assert {text.verdict for text in found if text} <= {Verdict.IDENTICAL, Verdict.NEAR_TIE}


@pytest.mark.parametrize("name", REAL)
def test_servers_that_already_run_write_the_same(swept: Swept, name: str) -> None:
    written = {
        (sample.workload, sample.prompt): sample.text
        for sample in swept.samples(swept.arm("llama.cpp", "none", None))
    }
    theirs = swept.samples(swept.arm_there(name))
    assert {sample.status for sample in theirs} == {"ok"}
    assert {(sample.workload, sample.prompt): sample.text for sample in theirs} == written
    assert {(sample.output_tokens or 0) > 0 for sample in theirs} == {True}


@pytest.mark.parametrize(("name", "counts"), list(PLAYED.items()))
def test_played_servers_stand_in_the_same_report(
    swept: Swept, name: str, counts: tuple[int | None, int | None]
) -> None:
    samples = swept.samples(swept.arm_there(name))
    assert len(samples) == 6
    assert {(s.status, s.drafted, s.accepted) for s in samples} == {("ok", *counts)}


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_mtp_is_accepted_alike(swept: Swept, k: int) -> None:
    ours, theirs = (
        swept.acceptance(swept.arm(name, "mtp", k, "qwen35-mtp")) for name in ("llama.cpp", "vllm")
    )
    assert 0.2 < ours < 0.95
    assert ours == pytest.approx(theirs, abs=0.02)


def test_draft_models_are_accepted_alike(swept: Swept) -> None:
    models = {"llama.cpp": "qwen3", "vllm": "qwen3", "mlx": "qwen3", "openvino": HALF}
    rates = [
        swept.acceptance(swept.arm(name, "draft-model", 2, model)) for name, model in models.items()
    ]
    assert min(rates) > 0.1
    assert max(rates) - min(rates) < 0.05


def test_every_answer_is_plains(swept: Swept) -> None:
    measured = [row for row in swept.report.rows if row.failure is None and not row.arm.is_baseline]
    assert len(measured) == 2 * (5 + 2 * 5)
    assert {row.lossless.verdict for row in measured} <= {Verdict.IDENTICAL, Verdict.NEAR_TIE}


def test_what_cannot_work_is_a_row_with_its_reason(swept: Swept) -> None:
    assert swept.status == 1
    reasons = {
        (row.arm.runner, row.arm.method, row.arm.draft_tokens): row.failure
        for row in swept.report.rows
        if row.failure is not None
    }
    assert "holds no MTP heads" in (reasons["vllm", "mtp", 2] or "")
    assert "not supported by mlx-lm 0." in (reasons["mlx", "mtp", 2] or "")
    assert "vLLM has no such method" in (reasons["vllm", "ngram-mod", 2] or "")
    assert "layer" in (reasons["vllm", "eagle3", 2] or "")
    assert "qwen3-hf-missing" in (reasons["vllm", "none", None] or "")
    assert len(reasons) == 5


def test_one_report_holds_them_all(swept: Swept) -> None:
    text = (swept.folder / "report.md").read_text()
    assert "Runners side by side" in text
    for words in ("llama.cpp", "vllm", "mlx-lm 0.", "draft-model k=2", "mtp k=5", "openvino"):
        assert words in text
    assert all(there(name) in text for name in (*REAL, *PLAYED))
    assert (swept.folder / "report.html").exists()
    commands = [command.command for command in swept.report.commands]
    assert any(" serve " in command or "api_server" in command for command in commands)
    assert {launch.status for launch in swept.run.launches} == {"ok"}
