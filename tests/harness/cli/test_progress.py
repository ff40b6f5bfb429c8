from __future__ import annotations

import pytest

from harness.cli.progress import SweepProgress
from harness.plan import make_plan
from harness.suite import make_suite
from runners.registry import RUNNERS

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
