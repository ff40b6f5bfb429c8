from __future__ import annotations

import pytest

from harness.cli.progress import SweepProgress
from harness.plan import make_plan
from harness.suite import make_suite
from runners.registry import RUNNERS
from tests.harness.builders import make_sample

HOSTILE = ":smile:\x1b[31m[red].gguf"
HARMLESS = ":smile: [31m[red].gguf"


def test_what_a_file_is_called_is_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(make_suite({"runner": "mock", "workloads": ["coding"]}), RUNNERS)
    with SweepProgress(plan, done=0) as progress:
        progress.tell(HOSTILE)
        (task,) = progress._progress.tasks
        shown = progress._progress.make_tasks_table([task])
        description = next(iter(shown.columns[1].cells))
    assert str(description) == HARMLESS
    assert HARMLESS in capsys.readouterr().err


def test_the_probes_are_announced(capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(make_suite({"runner": "mock", "workloads": ["coding"]}), RUNNERS)
    with SweepProgress(plan, done=0) as progress:
        progress.probing(1)
        progress.probing(3)
    shown = capsys.readouterr().err
    assert "probing 1 first difference from plain decoding" in shown
    assert "probing 3 first differences from plain decoding" in shown


def test_builds_are_told_apart_and_every_request_counts(capsys: pytest.CaptureFixture[str]) -> None:
    arms = [{"runner": name} for name in ("old", "today")]
    builds = {name: {"runner": "mock", "program": "x"} for name in ("old", "today")}
    suite = make_suite({"runners": builds, "arm": arms, "workloads": ["coding"], "repeats": 1})
    plan = make_plan(suite, dict.fromkeys(("old", "today"), RUNNERS["mock"]))
    rates = {"old": (100.0, None), "today": (None,)}
    with SweepProgress(plan, done=0) as progress:
        for batch in sorted(plan.batches(), key=lambda batch: batch.arm.id):
            progress.launching(batch)
            for rate in rates[batch.arm.runner]:
                progress.measured(make_sample(batch.arm, decode_rate=rate))
    assert capsys.readouterr().err.splitlines() == [
        "round 1/1  old · plain: 2 requests, about 100.0 tok/s",
        "round 1/1  today · plain: 1 request, no decode rate",
    ]
