"""Writes tuned.toml: the suite that measures plain decoding and what a tuning recommends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.records import Arm
from harness.run_folder import RunData
from harness.suite import RunnerSpec, Suite
from harness.tune.card import Card
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

    Plain decoding is measured beside them, as in any suite.
    """
    wanted = [one.arm for one in card.workloads]
    wanted += [one.guess_arm for one in card.workloads if one.guess_arm is not None]
    wanted += [card.for_all.arm] if card.for_all is not None else []
    arms = [arm for arm in run.manifest.arms if arm.id in wanted]
    # Plain decoding comes with each setting; alone it needs a table of its own.
    drafting = [arm for arm in arms if not arm.is_baseline] or arms
    return "\n".join(_lines(run.manifest.suite, drafting)) + "\n"


def _lines(suite: Suite, arms: Sequence[Arm]) -> Iterator[str]:
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
    for name, build in suite.runners.items():
        yield from ("", f"[runners.{_text(name)}]", *_build(build))
    for arm in arms:
        yield ""
        yield "[[arm]]"
        yield f"method = {_text(arm.method)}"
        if arm.draft_tokens is not None:
            yield f"draft_tokens = {arm.draft_tokens}"
        if arm.draft_model is not None:
            yield f"draft_model = {_text(arm.draft_model)}"
        if arm.options:
            yield f"args = {_table(dict(arm.options))}"


def _build(build: RunnerSpec) -> Iterator[str]:
    """Without its options: those that an arm has stand in the arm."""
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
