"""Shows a sweep going on: a live bar in a terminal, a line for each launch in a log."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from harness.analysis.settings import setting_names
from harness.goal import Standing
from harness.plan import Batch, Plan
from harness.records import Launch, Sample
from harness.report import numbers
from harness.report.escape import clean


class SweepProgress:
    """Observes a sweep and shows it on standard error, so that standard output stays clean."""

    def __init__(self, plan: Plan, done: int, planned: int | None = None) -> None:
        self._labels: Mapping[str, str] = setting_names(plan.arms)
        self._rounds = "" if plan.suite.goes_on else f"/{plan.suite.least_rounds}"
        self._a_round = plan.samples // plan.suite.least_rounds
        self._least = plan.samples
        self._of_arm = len(plan.prompts) * len(plan.suite.max_tokens)
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._measured = 0
        self._rates: list[float] = []
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
            expand=True,
            disable=not self._live,
            transient=True,
        )
        total = plan.samples if planned is None else planned
        self._task = self._progress.add_task("starting", total=total, completed=done)

    def __enter__(self) -> SweepProgress:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_launch()
        self._progress.stop()

    def tell(self, text: str) -> None:
        """A stage before the first launch, such as hashing the model."""
        self._progress.update(self._task, description=clean(text))
        self._line(text)

    def launching(self, batch: Batch) -> None:
        self._end_launch()
        self._here = f"round {batch.round}{self._rounds}  {self._labels[batch.arm.id]}"
        self._describe("loading")

    def launched(self, launch: Launch) -> None:
        if launch.status == "failed":
            self._line(f"{self._here}: {launch.reason} (log: {launch.log})")
        else:
            self._describe("warm")

    def measured(self, sample: Sample) -> None:
        self._progress.advance(self._task)
        if sample.status == "failed":
            self._line(f"{self._here}: {sample.workload}/{sample.prompt}: {sample.reason}")
            return
        self._measured += 1
        if sample.decode_rate is not None:
            self._rates.append(sample.decode_rate)
            self._describe(f"{sample.decode_rate:.1f} tok/s")

    def probing(self, count: int) -> None:
        self._end_launch()
        places = numbers.counted(count, "first difference")
        self._progress.update(self._task, description=f"probing {places}")
        self._line(f"probing {places} from plain decoding")

    def chosen(self, round_number: int, arms: Sequence[str]) -> None:
        """The bar ends with the round: nobody knows how many more there will be."""
        self._end_launch()
        done = self._progress.tasks[0].completed
        self._progress.update(self._task, total=done + len(arms) * self._of_arm)
        settings = ", ".join(self._labels[arm] for arm in arms)
        self._line(f"round {round_number}: {settings}")

    def judged(self, round_number: int, standing: Standing) -> None:
        """The bar ends with the rounds that are sure to come."""
        self._end_launch()
        more = 0 if standing.reached else self._a_round
        self._progress.update(
            self._task, total=max(self._least, round_number * self._a_round + more)
        )
        self._line(f"round {round_number}, {standing.words}")

    def _end_launch(self) -> None:
        if self._measured and not self._live:
            middle = statistics.median(self._rates) if self._rates else None
            rate = "no decode rate" if middle is None else f"about {middle:.1f} tok/s"
            self._line(f"{self._here}: {numbers.counted(self._measured, 'request')}, {rate}")
        self._measured = 0
        self._rates.clear()

    def _describe(self, state: str) -> None:
        text = clean(f"{self._here}  {state}")
        self._progress.update(self._task, description=text)

    def _line(self, text: str) -> None:
        self._progress.console.print(Text(clean(text)), soft_wrap=True)
