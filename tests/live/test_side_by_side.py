"""One sweep over the real llama.cpp, vLLM and mlx-lm: one model in each one's packaging."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.analysis.lossless import Verdict
from harness.records import Arm, Sample
from harness.report.content import Report, build_report
from harness.run_folder import RunData, read_run
from tests.live.builds import why_absent
from tests.live.not_built import environment_of, why_not
from tests.models.export import Family

REASONS = [
    why_absent("embedded"),
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
runner = ["llama.cpp", "vllm", "mlx"]
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

[[arm]]
runner = ["llama.cpp", "vllm"]
method = "mtp"
draft_tokens = "1-5"
model = {{ gguf = "{family.qwen35_mtp}", hf = "{family.qwen35_mtp_hf}" }}

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
    suite.write_text(SUITE.format(family=family, **programs))
    command = [sys.executable, "-m", "harness.cli", "sweep", str(suite), "--out", "run"]
    # A process less for each launch of vLLM to wait for, and none that is bound to the first core.
    settings = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
    }
    result = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert (folder / "run" / "manifest.json").exists(), result.stderr
    run = read_run(folder / "run")
    return Swept(result.returncode, result.stderr, folder / "run", run, build_report(run))


def test_plain_tokens_are_the_same_in_all_three(swept: Swept) -> None:
    texts = [swept.texts(swept.arm(name, "none", None)) for name in ("llama.cpp", "vllm", "mlx")]
    assert len(texts[0]) == 6
    assert all(tokens for tokens in texts[0].values())
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_mtp_is_accepted_alike(swept: Swept, k: int) -> None:
    ours, theirs = (
        swept.acceptance(swept.arm(name, "mtp", k, "qwen35-mtp")) for name in ("llama.cpp", "vllm")
    )
    assert 0.2 < ours < 0.95
    assert ours == pytest.approx(theirs, abs=0.02)


def test_draft_models_are_accepted_alike(swept: Swept) -> None:
    rates = [
        swept.acceptance(swept.arm(name, "draft-model", 2)) for name in ("llama.cpp", "vllm", "mlx")
    ]
    assert min(rates) > 0.1
    assert max(rates) - min(rates) < 0.05


def test_every_answer_is_plains(swept: Swept) -> None:
    measured = [row for row in swept.report.rows if row.failure is None and not row.arm.is_baseline]
    assert len(measured) == 2 * (3 + 2 * 5)
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
    for words in ("llama.cpp", "vllm", "mlx-lm 0.", "draft-model k=2", "mtp k=5"):
        assert words in text
    assert (swept.folder / "report.html").exists()
    commands = [command.command for command in swept.report.commands]
    assert any(" serve " in command or "api_server" in command for command in commands)
    assert {launch.status for launch in swept.run.launches} == {"ok"}
