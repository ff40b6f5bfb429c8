"""Runs with known losses, on disk, for tests of the gate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.records import Arm, Launch, PromptInfo, RunnerInfo, Sample
from harness.run_folder import LAUNCHES, MANIFEST, PROBES, SAMPLES, SESSIONS, RunData
from tests.harness.builders import make_arm, make_launch, make_run, make_sample

PROMPTS = ("p1", "p2")
QUIET = (0.0, 0.004, -0.004)
"""How far rounds are off, as logarithms, in turn."""
LOUD = (0.0, 0.2, -0.2)

Change = Callable[[Sample], Sample]


def changed(**fields: object) -> Change:
    return lambda sample: sample.model_copy(update=fields)


def times(**factors: float) -> Change:
    """Multiplies fields."""
    return lambda sample: sample.model_copy(
        update={
            name: type(value)(value * factor)
            for name, factor in factors.items()
            if (value := getattr(sample, name)) is not None
        }
    )


def unchanged(sample: Sample) -> Sample:
    return sample


def arms_of(runner: str, *, prefix: str = "") -> tuple[Arm, Arm]:
    """Plain decoding and a draft model that proposes four tokens."""
    plain = make_arm(id=f"{prefix}none", runner=runner, baseline=f"{prefix}none")
    fast = make_arm("draft-model", 4, id=f"{prefix}draft", runner=runner, baseline=f"{prefix}none")
    return plain, fast


def samples_of(
    arms: Sequence[Arm],
    *,
    rounds: int,
    noise: Sequence[float],
    change: Change = unchanged,
    only: str = "",
) -> list[Sample]:
    """Two prompts in each round; `change` is done to the arms whose id ends in `only`."""
    found = []
    for number in range(1, rounds + 1):
        for arm in arms:
            off = math.exp(noise[number % len(noise)])
            for prompt in PROMPTS:
                sample = make_sample(
                    arm,
                    round=number,
                    prompt=prompt,
                    launch=f"r{number}-{arm.id}",
                    decode_rate=off * (50.0 if arm.is_baseline else 80.0),
                )
                found.append(change(sample) if arm.id.endswith(only) else sample)
    return found


def launches_of(samples: Sequence[Sample], arms: Sequence[Arm]) -> list[Launch]:
    by_id = {arm.id: arm for arm in arms}
    places = dict.fromkeys((sample.arm, sample.round) for sample in samples)
    return [make_launch(by_id[arm], number) for arm, number in places]


def write(folder: Path, run: RunData) -> Path:
    """The run as a sweep leaves it."""
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text(run.manifest.model_dump_json())
    for name, records in (
        (SAMPLES, run.samples),
        (LAUNCHES, run.launches),
        (PROBES, run.probes),
        (SESSIONS, run.sessions),
    ):
        lines = [f"{record.model_dump_json(exclude_none=True)}\n" for record in records]
        (folder / name).write_text("".join(lines))
    return folder


def ab_run(
    folder: Path,
    *,
    rounds: int = 6,
    noise: Sequence[float] = QUIET,
    change: Change = unchanged,
    before: Change = unchanged,
    only: str = "",
    reverse: bool = False,
    **manifest: object,
) -> Path:
    """A run of `bench ab`: `change` is done to the candidate, `before` to the baseline. The noise
    is the candidate's alone, so that the ratios have it."""
    baseline = arms_of("baseline", prefix="baseline-")
    candidate = arms_of("candidate", prefix="candidate-")
    samples = [
        *samples_of(baseline, rounds=rounds, noise=(0.0,), change=before, only=only),
        *samples_of(candidate, rounds=rounds, noise=noise, change=change, only=only),
    ]
    arms = (*baseline, *candidate)
    if reverse:
        samples.reverse()
    runners = tuple(
        RunnerInfo(
            name=name,
            version="b1",
            where=f"/builds/{name}/llama-server",
            acceptance_source="/metrics",
            kind="llama.cpp",
        )
        for name in ("baseline", "candidate")
    )
    return write(
        folder,
        make_run(
            arms,
            samples,
            launches=manifest.pop("launches", launches_of(samples, arms)),  # type: ignore[arg-type]
            **{
                "runners": runners,
                "command": ("bench", "ab", "--out", "x", "--max-rounds=9"),
                **manifest,
            },
        ),
    )


def single_run(
    folder: Path,
    *,
    rounds: int = 6,
    noise: Sequence[float] = QUIET,
    change: Change = unchanged,
    only: str = "",
    **manifest: object,
) -> Path:
    """A run of one runner."""
    arms = arms_of("llama.cpp")
    samples = samples_of(arms, rounds=rounds, noise=noise, change=change, only=only)
    return write(folder, make_run(arms, samples, launches=launches_of(samples, arms), **manifest))


__all__ = ["LOUD", "PROMPTS", "QUIET", "PromptInfo", "ab_run", "changed", "single_run", "times"]
