"""A suite laid out: its arms, its prompts, and the order in which they are measured."""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from harness.arms import make_arms
from harness.feasible import left_out
from harness.models.shelf import Shelf
from harness.records import Arm, launches_of
from harness.refusals import check
from harness.suite import BASELINE, CANDIDATE, Suite, SuiteError
from runners.base.contract import LaunchSpec, Runner
from runners.base.speculation import Speculation
from workloads.prompts import Prompt, load

CHARACTERS_PER_TOKEN = 2
"""Fewer than any tokenizer needs for these texts, so that the context is large enough."""


@dataclass(frozen=True)
class Batch:
    """What one launch measures: one arm at one answer length in one round.

    No prompt comes twice in a launch: a method that learns from its answers would know the second.
    """

    round: int
    arm: Arm
    max_tokens: int
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True)
class Plan:
    """Arms, prompts and the seeded order of everything."""

    suite: Suite
    arms: tuple[Arm, ...]
    """Also those that cannot work: they are rows of the report, and never launched."""
    prompts: tuple[Prompt, ...]
    context: int
    """Tokens of context of every launch, unless a runner's own option says otherwise."""
    shelf: Shelf = field(default_factory=Shelf, compare=False)
    """The model files of the arms."""

    @property
    def measured(self) -> tuple[Arm, ...]:
        """The arms that are launched."""
        return tuple(arm for arm in self.arms if arm.impossible is None)

    def batches(self) -> Iterator[Batch]:
        """Everything that is measured in any case, in order: the least rounds."""
        for number in range(1, self.suite.least_rounds + 1):
            yield from self.round(number)

    def round(self, number: int) -> Iterator[Batch]:
        """One round, counted from 1: its launches over the same shuffled prompts.

        An odd round has the launches in shuffled order, and the even one after it in the reverse
        of that: over the two, each launch comes as early as any other, so that what drifts evenly
        falls out of every comparison.
        """
        prompts, _ = self._shuffled(number)
        _, launches = self._shuffled(number - 1 + number % 2)
        if number % 2 == 0:
            launches.reverse()
        for arm, length in launches:
            yield Batch(number, arm, length, tuple(prompts))

    def _shuffled(self, number: int) -> tuple[list[Prompt], list[tuple[Arm, int]]]:
        """The prompts and the launches in an order of this round's own."""
        # Only the order of the measurements hangs on this, nothing secret.
        shuffle = random.Random(f"{self.suite.seed}/{number}")  # noqa: S311
        prompts = list(self.prompts)
        shuffle.shuffle(prompts)
        launches = [(arm, length) for arm in self.measured for length in self.suite.max_tokens]
        shuffle.shuffle(launches)
        return prompts, launches

    @property
    def samples(self) -> int:
        """Requests in all, in the least rounds."""
        return self.launches * len(self.prompts)

    @property
    def launches(self) -> int:
        """In the least rounds."""
        return launches_of(self.suite, self.arms)

    @property
    def trials(self) -> int:
        """Rows of the report that get figures: arms by workloads by answer lengths."""
        workloads = {prompt.workload for prompt in self.prompts}
        return len(self.measured) * len(workloads) * len(self.suite.max_tokens)

    def request_seed(self, round_number: int, prompt: Prompt) -> int:
        """The seed of sampling: the same for all arms, another for each round and prompt."""
        text = f"{self.suite.seed}/{round_number}/{prompt.workload}/{prompt.id}"
        return zlib.crc32(text.encode()) & 0x7FFFFFFF

    def spec(self, arm: Arm) -> LaunchSpec:
        """The launch of an arm, in the words of the runner contract."""
        return LaunchSpec(
            model=None if arm.model is None else Path(arm.model),
            speculation=Speculation(
                method=arm.method,
                draft_tokens=arm.draft_tokens,
                draft_model=None if arm.draft_model is None else Path(arm.draft_model),
                synthetic=arm.synthetic,
            ),
            options=arm.options,
            context=self.context,
            seed=self.suite.seed,
        )

    def fingerprint(self, models: Mapping[str, str]) -> str:
        """Hash of all that makes two plans the same; `models` are path -> SHA-256."""
        parts = [
            # Without defaults, so that a new field of arms does not make another plan.
            # Nor with what follows from the rest.
            *(
                arm.model_dump_json(exclude_defaults=True, exclude={"counterpart"})
                for arm in self.arms
            ),
            *(f"{p.workload}/{p.id}/{p.sha256}" for p in self.prompts),
            *(f"{path}={digest}" for path, digest in sorted(models.items())),
            f"{self.suite.max_tokens} {self.suite.repeats} {self.suite.temperature}",
            f"{self.suite.seed} {self.context}",
        ]
        if self.suite.has_aim:
            suite = self.suite
            parts.append(f"{suite.precision} {suite.threshold} {suite.most_rounds}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def make_plan(suite: Suite, runners: Mapping[str, Runner], shelf: Shelf | None = None) -> Plan:
    """Lay out a suite; `runners` holds every runner that it names, `shelf` its model files.

    Raises:
        SuiteError: nothing to speculate with, too many arms, nothing that was asked for can work.
        WorkloadError: a workload cannot be loaded.
        ModelFileError: a model can no longer be read.
        UsageError: a runner refuses an option, a value or a method.
    """
    shelf = shelf or Shelf()
    prompts = _prompts(suite)
    arms = make_arms(suite, runners, shelf)
    plan = Plan(suite, arms, prompts, _context(prompts, suite.max_tokens), shelf)
    if not plan.measured:
        _nothing_left(arms)
    check([(arm.runner, plan.spec(arm)) for arm in plan.measured], suite, runners)
    if suite.threshold is not None:
        _check_sides(plan)
    if all(arm.is_baseline for arm in plan.measured) and not all(arm.is_baseline for arm in arms):
        lines = left_out(arms)
        raise SuiteError("\n".join(["no way of speculating that was asked for can work", *lines]))
    return plan


def _check_sides(plan: Plan) -> None:
    """Refuse two builds of which only one can be measured."""
    for side in (BASELINE, CANDIDATE):
        if not any(arm.runner == side for arm in plan.measured):
            lines = left_out([arm for arm in plan.arms if arm.runner == side])
            raise SuiteError("\n".join([f"the {side} cannot be measured", *lines]))


def _nothing_left(arms: Sequence[Arm]) -> NoReturn:
    reasons = list(dict.fromkeys(str(arm.impossible) for arm in arms))
    if len(reasons) == 1:
        raise SuiteError(reasons[0])
    raise SuiteError("\n".join(["nothing that was asked for can be measured", *left_out(arms)]))


def _prompts(suite: Suite) -> tuple[Prompt, ...]:
    chosen: list[Prompt] = []
    for name in suite.workloads:
        workload = load(name)
        count = None if suite.prompts == "all" else suite.prompts
        chosen.extend(workload.prompts[:count])
    names = {(p.workload, p.id) for p in chosen}
    if len(names) != len(chosen):
        raise SuiteError("two workloads of the suite have the same file name: rename one of them")
    return tuple(chosen)


def _context(prompts: Sequence[Prompt], max_tokens: Sequence[int]) -> int:
    """The longest request with room to spare, rounded up to 1024 tokens."""
    longest = max(sum(len(m.content) for m in p.messages) for p in prompts)
    need = longest // CHARACTERS_PER_TOKEN + max(max_tokens) + 256
    return max(2048, -(-need // 1024) * 1024)
