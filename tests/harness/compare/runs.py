"""Runs on disk with rates that are known."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.records import Arm, PromptInfo
from harness.run_folder import RunFolder
from tests.harness.builders import make_arm, make_run, make_samples

PROMPTS = ("p1", "p2")


def write(
    folder: Path, rates: Mapping[str, float], arms: Sequence[Arm] | None = None, **changes: object
) -> Path:
    """Arm id -> its rate, which six rounds of two prompts find within 1%."""
    rng = random.Random(1)
    arms = arms or [make_arm(), make_arm("ngram-mod", 4)]
    samples = [
        sample
        for arm in arms
        if arm.id in rates
        for sample in make_samples(
            arm, [rates[arm.id] * rng.uniform(0.99, 1.01) for _ in range(12)], prompts=PROMPTS
        )
    ]
    changes.setdefault(
        "prompts",
        tuple(PromptInfo(workload="coding", id=p, kind="code", sha256=p * 32) for p in PROMPTS),
    )
    run = make_run(arms, samples, **changes)
    with RunFolder.create(folder, run.manifest) as opened:
        for record in (*run.launches, *run.samples, *run.sessions):
            opened.add(record)
    return folder
