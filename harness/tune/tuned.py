"""Writes tuned.toml: the suite that measures plain decoding and what a tuning recommends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.analysis.statistics import Estimate
from harness.records import Arm
from harness.run_folder import RunData
from harness.suite import RunnerSpec, Suite
from harness.tune.card import Card, Recommendation
from harness.tune.goal import THAN_PLAIN, behind
from harness.tune.search import Outcome
from harness.tuning_goal import TuningGoal
from runners.base.contract import OptionValue

TUNED = "tuned.toml"


def write_tuned(run: RunData, card: Card, folder: Path) -> Path:
    """Write it into the folder of the run; an older one is replaced.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / TUNED
    path.write_text(tuned(run, card), encoding="utf-8", newline="\n")
    return path


def tuned(run: RunData, card: Card) -> str:
    """The suite as TOML: each recommended setting, and best guesses that are not proven yet.

    A comment says what each is for. The plain decoding that they were held against is measured
    beside them.
    """
    wanted = [one.arm for one in card.workloads]
    wanted += [one.guess_arm for one in card.workloads if one.guess_arm is not None]
    wanted += [card.for_all.arm] if card.for_all is not None else []
    arms = [arm for arm in run.manifest.arms if arm.id in wanted]
    plain = next(arm for arm in run.manifest.arms if arm.is_baseline)
    others = [arm for arm in arms if arm is not plain]
    # It comes with whatever differs from it in the way of drafting alone; else it needs a table.
    if not others or any(arm.baseline != plain.id for arm in others):
        others = [plain, *others]
    return "\n".join(_lines(run.manifest.suite, others, card)) + "\n"


def _lines(suite: Suite, arms: Sequence[Arm], card: Card) -> Iterator[str]:
    yield "# What a tuning recommends, to be measured beside plain decoding: bench sweep tuned.toml"
    yield f"name = {_text(f'{suite.name}d' if suite.name == 'tune' else suite.name)}"
    yield f"runner = {_text(suite.runner[0])}"
    if arms[0].model is not None:
        yield f"model = {_text(arms[0].model)}"
    yield f"workloads = {_list(suite.workloads)}"
    yield f"prompts = {_value(suite.prompts)}"
    yield f"max_tokens = {_list(suite.max_tokens)}"
    yield f"seed = {suite.seed}"
    if suite.bandwidth is not None:
        yield f"bandwidth = {suite.bandwidth!r}"
    yield f"request_timeout_s = {suite.request_timeout_s!r}"
    yield f"start_timeout_s = {suite.start_timeout_s!r}"
    yield f"keep_text = {_value(suite.keep_text)}"
    # Here, and not in each arm, flags override them: bench sweep tuned.toml --runner-arg threads=8
    shared = _shared(arms)
    if shared:
        yield f"args = {_table(shared)}"
    for name, build in suite.runners.items():
        yield from ("", f"[runners.{_text(name)}]", *_build(build))
    own = {arm.id for arm in arms}
    beside = [one for one in card.workloads if own.isdisjoint((one.arm, one.guess_arm))]
    if beside:
        yield ""
    for one in beside:
        yield _comment(f"{one.workload}: {_why(one, card.goal)}")
    for arm in arms:
        yield ""
        yield from _uses(arm, card)
        yield "[[arm]]"
        yield f"method = {_text(arm.method)}"
        if arm.draft_tokens is not None:
            yield f"draft_tokens = {arm.draft_tokens}"
        if arm.draft_model is not None:
            yield f"draft_model = {_text(arm.draft_model)}"
        own_args = {name: value for name, value in arm.options if name not in shared}
        if own_args:
            yield f"args = {_table(own_args)}"


def _shared(arms: Sequence[Arm]) -> dict[str, OptionValue]:
    """The options that every arm has, with one value."""
    first, *others = (arm.options for arm in arms)
    return dict(option for option in first if all(option in other for other in others))


def _uses(arm: Arm, card: Card) -> Iterator[str]:
    """What an arm is recommended for, and where it is a guess, as comments."""
    for one in card.workloads:
        if one.arm == arm.id:
            yield _comment(f"{one.workload}: {_why(one, card.goal)}")
        elif one.guess_arm == arm.id:
            yield _comment(f"{one.workload}: {_ratio(one.speedup, card.goal)}, not proven")
    if card.for_all is not None and card.for_all.arm == arm.id and len(card.workloads) > 1:
        lost = f", at worst {behind(card.goal, card.for_all.regret)} the best of "
        lost += card.for_all.worst
        yield _comment(f"for all workloads{lost if card.for_all.regret else ''}")


def _why(one: Recommendation, goal: TuningGoal) -> str:
    return _ratio(one.speedup, goal) if one.outcome is Outcome.FASTER else one.outcome.value


def _ratio(speedup: Estimate | None, goal: TuningGoal) -> str:
    if speedup is None:
        return "not measured"
    interval = speedup.interval
    shown = "" if interval is None else f" [{interval.low:.2f}, {interval.high:.2f}]"
    return f"{speedup.value:.2f}x {THAN_PLAIN[goal]}{shown}"


def _comment(text: str) -> str:
    """On one line, without what a comment of TOML may not hold: a workload is named by a file."""
    return "# " + "".join(c if c.isprintable() else " " for c in text)


def _build(build: RunnerSpec) -> Iterator[str]:
    """Without its options, which the arms have."""
    yield f"runner = {_text(build.runner)}"
    if build.program is not None:
        yield f"program = {_text(build.program)}"


def _table(values: Mapping[str, OptionValue]) -> str:
    return f"{{ {', '.join(f'{_text(key)} = {_value(value)}' for key, value in values.items())} }}"


def _list(values: Sequence[OptionValue]) -> str:
    return f"[{', '.join(map(_value, values))}]"


def _value(value: OptionValue) -> str:
    if isinstance(value, str):
        return _text(value)
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _text(text: str) -> str:
    """A string of JSON is one of TOML, but for the one control character that JSON lets stand."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
