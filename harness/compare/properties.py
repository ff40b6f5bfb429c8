"""What a trial is of: the properties that set the trials of a side apart, or one side from the
other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from harness.compare.side import Side, SideTrial
from harness.records import Arm, Manifest
from runners.base.contract import OptionValue

RUNNER = "runner"
MODEL = "model"
METHOD = "method"
DRAFT_TOKENS = "draft tokens"
DRAFT_MODEL = "draft model"
SYNTHETIC = "synthetic acceptance"
WORKLOAD = "workload"
MAX_TOKENS = "max tokens"
OPTION = "option "

NOT_SET = "not set"

Value = OptionValue | tuple[OptionValue, ...] | None


@dataclass(frozen=True)
class Property:
    """One property of one trial."""

    value: Value
    """What makes two trials alike: of a model, the hash of its files."""
    shown: str


@dataclass(frozen=True)
class Properties:
    """Those of all trials of two sides."""

    baseline: Sequence[tuple[SideTrial, Mapping[str, Property]]]
    candidate: Sequence[tuple[SideTrial, Mapping[str, Property]]]
    key: tuple[str, ...]
    """Those that trials which belong together have in common."""
    differing: tuple[str, ...]
    """Those with one value on each side, which is not the same one."""


def properties(baseline: Side, candidate: Side) -> Properties:
    """Read all trials of two sides, which have at least one each.

    What has several values on a side is in the key, but for draft models and options that go with
    the rest of the key: those of one method alone, say.
    """
    options = tuple(
        dict.fromkeys(
            f"{OPTION}{name}"
            for side in (baseline, candidate)
            for arm in side.arms
            for name, _ in arm.options
        )
    )
    found = [_of_side(side, options) for side in (baseline, candidate)]
    key, differing = [], []
    for name in found[0][0][1]:
        values = [{of[name].value for _, of in side} for side in found]
        if len(values[0]) > 1 or len(values[1]) > 1:
            key.append(name)
        elif values[0] != values[1]:
            differing.append(name)
    for name in [one for one in key if one == DRAFT_MODEL or one.startswith(OPTION)]:
        rest = [one for one in key if one != name]
        if all(_tells_apart(side, rest) == _tells_apart(side, key) for side in found):
            key = rest
    return Properties(found[0], found[1], tuple(key), tuple(differing))


def _tells_apart(side: Sequence[tuple[SideTrial, Mapping[str, Property]]], key: list[str]) -> int:
    return len({tuple(of[name].value for name in key) for _, of in side})


def apart(sides: Properties) -> Iterable[tuple[str, str, str]]:
    """Properties of the key that no trial of one side shares with any of the other: (name, all
    values of the baseline, all of the candidate)."""
    for name in sides.key:
        before = {of[name].value: of[name].shown for _, of in sides.baseline}
        after = {of[name].value: of[name].shown for _, of in sides.candidate}
        if not before.keys() & after.keys():
            yield name, ", ".join(before.values()), ", ".join(after.values())


def _of_side(side: Side, options: Sequence[str]) -> list[tuple[SideTrial, Mapping[str, Property]]]:
    of_arms = {arm.id: _of_arm(side.manifest, arm, options) for arm in side.arms}
    return [
        (
            trial,
            {
                **of_arms[trial.arm.id],
                WORKLOAD: Property(trial.workload, trial.workload),
                MAX_TOKENS: Property(trial.max_tokens, f"{trial.max_tokens} tokens"),
            },
        )
        for trial in side.trials
    ]


def _of_arm(manifest: Manifest, arm: Arm, options: Sequence[str]) -> dict[str, Property]:
    given = {f"{OPTION}{name}": value for name, value in arm.options}
    synthetic = None if arm.synthetic is None else arm.synthetic.label
    plain = arm.model_copy(update={"draft_tokens": None, "synthetic": None, "varied": ()})
    return {
        RUNNER: Property(arm.runner, arm.runner),
        MODEL: _model(manifest, arm.model),
        METHOD: Property(arm.method, plain.label),
        DRAFT_TOKENS: Property(
            arm.draft_tokens, NOT_SET if arm.draft_tokens is None else str(arm.draft_tokens)
        ),
        DRAFT_MODEL: _model(manifest, arm.draft_model),
        SYNTHETIC: Property(synthetic, synthetic or "none: real drafts"),
        **{name: _option(given.get(name)) for name in options},
    }


def _option(value: Value) -> Property:
    # True is 1 to Python, and not to a runner.
    known = str(value) if isinstance(value, bool) else value
    return Property(known, NOT_SET if value is None else str(value))


def _model(manifest: Manifest, path: str | None) -> Property:
    if path is None:
        return Property(None, "not known")
    digest = next((model.sha256 for model in manifest.models if model.path == path), None)
    name = PurePath(path).name
    return Property(digest or path, name if digest is None else f"{name} (sha256 {digest[:12]}…)")
