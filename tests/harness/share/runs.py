"""Runs on disk, for sharing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.records import Arm, Sample
from harness.run_folder import RunData, RunFolder
from tests.harness.builders import (
    PLAIN_TOKENS,
    make_arm,
    make_launch,
    make_probe,
    make_run,
    make_samples,
)

PROMPTS = ("p1", "p2")


def write_run(folder: Path, run: RunData) -> Path:
    """The run as a sweep would have left it."""
    with RunFolder.create(folder, run.manifest) as open_run:
        for record in (*run.launches, *run.samples, *run.probes, *run.sessions):
            open_run.add(record)
    return folder


def faster_run(**changes: object) -> RunData:
    """3 rounds x 2 prompts of two workloads: ngram-mod k=4 is 1.5x plain on coding and parts from
    it once, at a near-tie; on prose it is slower."""
    plain, fast, other = make_arm(), make_arm("ngram-mod", 4), make_arm("ngram-mod", 8)
    arms = (plain, fast, other)
    samples = [
        *_samples(plain, (50.0, 51.0, 49.0, 50.5, 50.2, 49.5), "coding"),
        *_samples(fast, (75.0, 76.0, 74.0, 75.5, 75.9, 74.5), "coding"),
        *_samples(other, (60.0, 61.0, 59.0, 60.5, 60.9, 59.5), "coding"),
        *_samples(plain, (50.0, 51.0, 49.0, 50.5, 50.2, 49.5), "prose"),
        *_samples(fast, (40.0, 41.0, 39.0, 40.5, 40.9, 39.5), "prose"),
        *_samples(other, (30.0, 31.0, 29.0, 30.5, 30.9, 29.5), "prose"),
    ]
    parted = (*PLAIN_TOKENS[:9], 1008, *PLAIN_TOKENS[10:])
    samples[6] = samples[6].model_copy(update={"tokens": parted})
    return make_run(
        arms,
        samples,
        launches=[make_launch(arm, number) for arm in arms for number in (1, 2, 3)],
        probes=[make_probe(samples[0], 9, -0.1, -0.2).model_copy(update={"top": tie()})],
        **changes,
    )


def tie() -> tuple[tuple[int, float], ...]:
    """Plain's own token and the arm's are nearly as likely."""
    return ((PLAIN_TOKENS[9], -0.7), (1008, -0.75))


def _samples(arm: Arm, rates: Iterable[float], workload: str) -> list[Sample]:
    return make_samples(arm, list(rates), prompts=PROMPTS, workload=workload)
