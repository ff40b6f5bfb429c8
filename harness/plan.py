"""Turns a suite into arms and the order in which they are measured."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.records import Arm
from harness.suite import ArmSpec, Suite, SuiteError, Values
from runners.base.contract import LaunchSpec, OptionValue, Runner
from runners.base.speculation import PLAIN, WITH_DRAFT, Speculation, parts_of
from workloads.prompts import Prompt, load

MOST_ARMS = 2000
CHARACTERS_PER_TOKEN = 2
"""Fewer than any tokenizer needs for these texts, so that the context is large enough."""

Options = tuple[tuple[str, OptionValue], ...]


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
    prompts: tuple[Prompt, ...]
    context: int
    """Tokens of context of every launch, unless a runner's own option says otherwise."""

    def batches(self) -> Iterator[Batch]:
        """Rounds in order; within a round the arms are shuffled, over the same shuffled prompts."""
        for round_number in range(1, self.suite.repeats + 1):
            # Only the order of the measurements hangs on this, nothing secret.
            shuffle = random.Random(f"{self.suite.seed}/{round_number}")  # noqa: S311
            prompts = list(self.prompts)
            shuffle.shuffle(prompts)
            launches = [(arm, length) for arm in self.arms for length in self.suite.max_tokens]
            shuffle.shuffle(launches)
            for arm, length in launches:
                yield Batch(round_number, arm, length, tuple(prompts))

    @property
    def samples(self) -> int:
        """Requests in all."""
        return self.launches * len(self.prompts)

    @property
    def launches(self) -> int:
        return self.suite.repeats * len(self.arms) * len(self.suite.max_tokens)

    @property
    def trials(self) -> int:
        """Rows of the report: arms by workloads by answer lengths."""
        workloads = {prompt.workload for prompt in self.prompts}
        return len(self.arms) * len(workloads) * len(self.suite.max_tokens)

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
            *(arm.model_dump_json() for arm in self.arms),
            *(f"{p.workload}/{p.id}/{p.sha256}" for p in self.prompts),
            *(f"{path}={digest}" for path, digest in sorted(models.items())),
            f"{self.suite.max_tokens} {self.suite.repeats} {self.suite.temperature}",
            f"{self.suite.seed} {self.context}",
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def make_plan(suite: Suite, runners: Mapping[str, Runner]) -> Plan:
    """Lay out a suite; `runners` holds every runner that it names.

    Raises:
        SuiteError: nothing to speculate with, too many arms, a draft model that is missing.
        WorkloadError: a workload cannot be loaded.
        UsageError: a runner refuses an option, a value or a method.
    """
    prompts = _prompts(suite)
    arms = _arms(suite, runners)
    plan = Plan(suite, arms, prompts, _context(prompts, suite.max_tokens))
    for arm in arms:
        runners[arm.runner].check(plan.spec(arm))
    return plan


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


# ---- arms ------------------------------------------------------------------------------------


def _arms(suite: Suite, runners: Mapping[str, Runner]) -> tuple[Arm, ...]:
    specs = [
        *(
            ArmSpec(method=method, draft_tokens=suite.draft_tokens)
            for method in suite.methods
            if method != PLAIN
        ),
        *suite.arm,
    ]
    drafts: list[Arm] = []
    for spec in specs or [ArmSpec()]:
        drafts.extend(_expand(spec, suite, runners))
        if len(drafts) > MOST_ARMS:
            raise SuiteError(f"the suite has more than {MOST_ARMS} arms: sweep fewer values")
    unique = list(dict.fromkeys(drafts))
    _check_used(suite, unique, runners)
    varied = _varied(unique)
    named = _named(unique, varied)
    plain = {_shared(arm, runners): arm.id for arm in named if arm.method == PLAIN}
    return tuple(
        arm.model_copy(update={"baseline": plain[_shared(arm, runners)], "varied": varied})
        for arm in named
    )


def _expand(spec: ArmSpec, suite: Suite, runners: Mapping[str, Runner]) -> Iterator[Arm]:
    """The arms of one entry: every draft length with every set of options, and its plain arms."""
    runner_name = spec.runner or suite.runner
    runner = runners[runner_name]
    model = spec.model or suite.model
    lengths = spec.draft_tokens or suite.draft_tokens
    # A draft model goes to the methods that cannot do without; heads bring their own drafts.
    takes_draft = any(part in WITH_DRAFT for part in parts_of(spec.method))
    draft_model = spec.draft_model or (suite.draft_model if takes_draft else None)
    args: dict[str, Values] = dict(runner.needed_options(spec.method, lengths))
    for given in (suite.args, spec.args):
        args |= {runner.canonical(name): value for name, value in given.items()}

    def arms(method: str, lengths: Sequence[int | None], draft: Path | None) -> Iterator[Arm]:
        applying = {name: v for name, v in args.items() if runner.applies(name, method)}
        for options in _crossed(applying):
            for length in lengths:
                yield Arm(
                    id="",
                    runner=runner_name,
                    model=None if model is None else str(model),
                    method=method,
                    draft_tokens=length,
                    draft_model=None if draft is None else str(draft),
                    options=options,
                    baseline="",
                )

    yield from arms(PLAIN, [None], None)
    if spec.method != PLAIN:
        yield from arms(spec.method, lengths, draft_model)


def _check_used(suite: Suite, arms: Sequence[Arm], runners: Mapping[str, Runner]) -> None:
    """An option that no arm has would be dropped without a word."""
    used = {name for arm in arms for name, _ in arm.options}
    for given in (suite.args, *(spec.args for spec in suite.arm)):
        for name in given:
            if not any(runner.canonical(name) in used for runner in runners.values()):
                raise SuiteError(f"the option {name} means nothing to any of the chosen methods")


def _crossed(args: Mapping[str, Values]) -> Iterator[Options]:
    """Every combination of the options' values, sorted by name."""
    names = sorted(args)
    lists = [v if isinstance(v, tuple) else (v,) for v in (args[name] for name in names)]
    for values in itertools.product(*lists):
        yield tuple(zip(names, values, strict=True))


def _shared(arm: Arm, runners: Mapping[str, Runner]) -> tuple[str, str | None, Options]:
    """What an arm has in common with its plain arm."""
    applies = runners[arm.runner].applies
    return (arm.runner, arm.model, tuple(o for o in arm.options if applies(o[0], PLAIN)))


def _varied(arms: Sequence[Arm]) -> tuple[str, ...]:
    """Options that have more than one value, or that only some arms of a method have."""
    values: dict[tuple[str, str], set[object]] = {}
    names = sorted({name for arm in arms for name, _ in arm.options})
    for arm in arms:
        own = dict(arm.options)
        for name in names:
            values.setdefault((arm.method, name), set()).add(own.get(name))
    return tuple(
        n for n in names if any(len(v) > 1 for (_, name), v in values.items() if name == n)
    )


def _named(arms: Sequence[Arm], varied: Sequence[str]) -> list[Arm]:
    """The arms with ids: short, usable as file names, unique."""
    several_runners = len({arm.runner for arm in arms}) > 1
    several_models = len({arm.model for arm in arms}) > 1
    several_drafts = len({arm.draft_model for arm in arms if arm.draft_model}) > 1
    used: set[str] = set()
    named = []
    for arm in arms:
        parts = [arm.runner] if several_runners else []
        if several_models and arm.model:
            parts.append(Path(arm.model).stem)
        parts.append(
            arm.method if arm.draft_tokens is None else f"{arm.method}-k{arm.draft_tokens}"
        )
        if several_drafts and arm.draft_model:
            parts.append(Path(arm.draft_model).stem)
        parts += [f"{name}={value}" for name, value in arm.options if name in varied]
        base = re.sub(r"[^A-Za-z0-9._=-]+", "_", "-".join(parts))[:80]
        name = base
        for number in itertools.count(2):
            if name not in used:
                break
            name = f"{base}-{number}"
        used.add(name)
        named.append(arm.model_copy(update={"id": name}))
    return named
