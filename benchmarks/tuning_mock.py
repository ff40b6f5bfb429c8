"""Tunings of known landscapes by the whole command, on the mock: is its pick as good as the best?

`python -m benchmarks.tuning_mock [SEEDS]` writes a table into docs/tune.md. The landscapes are
those of `benchmarks.tuning`; here each is a suite for the mock runner, whose servers take the time
that a step costs there, and `bench sweep` tunes over it. What a setting is truly worth is read off
the mock's own plan of steps, without noise. A tuning takes 10 s to 2 minutes.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tuning import (
    AS_GOOD,
    LANDSCAPES,
    PAGE,
    Family,
    Landscape,
    Result,
    table,
    with_table,
)
from harness.records import Arm
from harness.run_folder import RunData, read_run
from runners.base.contract import LaunchSpec
from runners.base.speculation import PLAIN, Speculation
from runners.mock import script_of
from runners.mock_server import Asked, ChatMessage, plan_steps

BEGIN, END = "<!-- make tuning-mock: begin -->", "<!-- make tuning-mock: end -->"

SEEDS = 1
METHODS = ("mtp", "ngram-mod", "ngram-simple", "draft-model")
"""Of a landscape's families, in their order: to the mock a method is but a name."""
STEP_MS = 4.0
TOKENS = 64
PROMPTS = 4
TEXTS = {"coding": "Write piece {number} of the program.", "prose": "Tell the hard story {number}."}
"""Prompts that hold the word 'hard' have an acceptance of their own."""


@dataclass(frozen=True)
class Tuned:
    """One tuning that the command made."""

    run: RunData
    card: Mapping[str, Any]
    """As `--json` prints it."""


def tune(landscape: Landscape, seed: int, folder: Path) -> Tuned:
    """Run the command in a folder that does not exist yet."""
    folder.mkdir()
    for workload, text in TEXTS.items():
        lines = [
            json.dumps({"id": f"p{number}", "prompt": text.format(number=number)})
            for number in range(PROMPTS)
        ]
        (folder / f"{workload}.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    suite, out = folder / "suite.toml", folder / "run"
    suite.write_text("\n".join(_suite(landscape, seed)) + "\n", "utf-8")
    command = [sys.executable, "-m", "harness.cli", "sweep", suite, "--out", out, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{landscape.name}: {done.stderr or done.stdout}")
    return Tuned(read_run(out), json.loads(done.stdout))


def judge(tuned: Tuned) -> Result:
    """What came of it, by the truth."""
    arms = {arm.id: arm for arm in tuned.run.manifest.arms}
    plain = next(arm for arm in arms.values() if arm.is_baseline)
    good = []
    for found in tuned.card["workloads"]:
        gains = {arm.id: speedup(tuned.run, arm, plain, found["workload"]) for arm in arms.values()}
        good.append(gains[found["arm"]] >= AS_GOOD * max(gains.values()))
    share = tuned.card["spent_s"] / tuned.card["grid_s"]
    return Result(len(good) == len(TEXTS) and all(good), share, tuned.card["rounds"])


def speedup(run: RunData, arm: Arm, plain: Arm, workload: str) -> float:
    """The true one over the prompts of a workload."""
    prompts = [prompt.id for prompt in run.manifest.prompts if prompt.workload == workload]
    return statistics.geometric_mean(
        _decode_s(plain, run, workload, prompt) / _decode_s(arm, run, workload, prompt)
        for prompt in prompts
    )


def _decode_s(arm: Arm, run: RunData, workload: str, prompt: str) -> float:
    """Seconds a token after the first burst, as planned."""
    speculation = Speculation(arm.method, arm.draft_tokens) if arm.method != PLAIN else None
    spec = LaunchSpec(
        None,
        *([speculation] if speculation is not None else []),
        options=arm.options,
        seed=run.manifest.suite.seed,
    )
    text = TEXTS[Path(workload).stem].format(number=prompt.removeprefix("p"))
    asked = Asked(
        messages=[ChatMessage(role="user", content=text)],
        max_tokens=run.manifest.suite.max_tokens[0],
        temperature=0.0,
        seed=run.manifest.suite.seed,
        probe=False,
    )
    steps = plan_steps(script_of(spec), asked, 0, drafts=arm.method != PLAIN)
    tokens = sum(len(step.tokens) for step in steps[1:])
    return (steps[-1].due - steps[0].due) / tokens


def _suite(landscape: Landscape, seed: int) -> Iterator[str]:
    yield 'runner = "mock"'
    yield 'budget = "10m"'
    yield f"seed = {seed + 1}"
    yield f"workloads = {json.dumps([f'{name}.jsonl' for name in TEXTS])}"
    yield f"prompts = {PROMPTS}"
    yield f"max_tokens = {TOKENS}"
    yield f"args = {{ step-ms = {STEP_MS}, prefill-ms = 1, noise = {landscape.noise} }}"
    for family, method in zip(landscape.families, METHODS, strict=False):
        yield "[[arm]]"
        yield f'method = "{method}"'
        yield f"draft_tokens = {json.dumps(family.lengths)}"
        yield f"args = {{ {', '.join(_args(family))} }}"


def _args(family: Family) -> Iterator[str]:
    coding, prose = (family.alphas[name] for name in TEXTS)
    yield f'acceptance = "{coding:.4f}"'
    yield f'hard-acceptance = "{prose:.4f}"'
    costs = [1.0, *(family.cost(k) for k in range(1, max(family.lengths) + 1))]
    rows = [STEP_MS * (after - before) for before, after in itertools.pairwise(costs)]
    yield f'verify-ms-per-row = "{"/".join(f"{row:.4f}" for row in rows)}"'


def run(landscapes: Sequence[Landscape], seeds: int) -> Iterator[tuple[Landscape, list[Result]]]:
    """Every landscape with its tunings."""
    with tempfile.TemporaryDirectory() as name:
        for number, landscape in enumerate(landscapes):
            results = []
            for seed in range(seeds):
                tuned = tune(landscape, 1000 * number + seed, Path(name) / f"{number}-{seed}")
                results.append(judge(tuned))
                print(f"{landscape.name}, seed {seed}: {results[-1]}", file=sys.stderr, flush=True)
            yield landscape, results


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    made = table(run(LANDSCAPES, wanted))
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), made, BEGIN, END), "utf-8")
