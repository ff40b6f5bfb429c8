"""The arms of a suite: what is measured against what."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.feasible import judge
from harness.models.shelf import Shelf
from harness.records import Arm
from harness.suite import ArmSpec, Suite, SuiteError, Values
from runners.base.contract import OptionValue, Runner
from runners.base.speculation import PLAIN, WITH_DRAFT, SyntheticAcceptance, parts_of

MOST_ARMS = 2000

Options = tuple[tuple[str, OptionValue], ...]


def make_arms(suite: Suite, runners: Mapping[str, Runner], shelf: Shelf) -> tuple[Arm, ...]:
    """Every arm of a suite, each with its plain arm; what cannot work says why.

    Raises:
        SuiteError: an option or a setting that no arm looks at, too many arms.
        ModelFileError: a model cannot be read.
    """
    specs = [
        *(
            ArmSpec(
                method=method,
                draft_tokens=suite.draft_tokens,
                synthetic_acceptance=suite.synthetic_acceptance,
            )
            for method in suite.methods
            if method != PLAIN
        ),
        *suite.arm,
    ]
    if suite.synthetic_acceptance and set(suite.methods) <= {PLAIN}:
        raise SuiteError("synthetic_acceptance goes with methods, and none is named")
    drafts: list[Arm] = []
    for spec in specs or [ArmSpec()]:
        drafts.extend(_expand(spec, suite, runners, shelf))
        if len(drafts) > MOST_ARMS:
            raise SuiteError(f"the suite has more than {MOST_ARMS} arms: sweep fewer values")
    unique = list(dict.fromkeys(drafts))
    _check_used(suite, unique, runners)
    judged = judge(unique, runners, shelf)
    varied = _varied(judged)
    named = _named(judged, varied)
    plain = {_shared(arm, runners): arm.id for arm in named if arm.method == PLAIN}
    return tuple(
        arm.model_copy(update={"baseline": plain[_shared(arm, runners)], "varied": varied})
        for arm in named
    )


def _expand(
    spec: ArmSpec, suite: Suite, runners: Mapping[str, Runner], shelf: Shelf
) -> Iterator[Arm]:
    """The arms of one entry: every draft length with every set of options, and its plain arms."""
    runner_name = spec.runner or suite.runner
    runner = runners[runner_name]
    model = spec.model or suite.model
    lengths = spec.draft_tokens or suite.draft_tokens
    draft_model = spec.draft_model
    if draft_model is None and _takes_draft(spec.method, suite.draft_model, runner, shelf):
        draft_model = suite.draft_model
    args: dict[str, Values] = dict(runner.needed_options(spec.method, lengths))
    for given in (suite.args, spec.args):
        args |= {runner.canonical(name): value for name, value in given.items()}

    plain = Arm(
        id="",
        runner=runner_name,
        model=None if model is None else str(model),
        method=PLAIN,
        draft_tokens=None,
        baseline="",
    )

    def with_options(method: str) -> Iterator[Arm]:
        applying = {name: v for name, v in args.items() if runner.applies(name, method)}
        for options in _crossed(applying):
            yield plain.model_copy(update={"method": method, "options": options})

    yield from with_options(PLAIN)
    if spec.method == PLAIN:
        return
    drafting = {"draft_model": None if draft_model is None else str(draft_model)}
    for arm in with_options(spec.method):
        for synthetic in spec.synthetic_acceptance or (None,):
            for length in lengths:
                yield arm.model_copy(
                    update={**drafting, "draft_tokens": length, "synthetic": synthetic}
                )


def _takes_draft(method: str, draft: Path | None, runner: Runner, shelf: Shelf) -> bool:
    """Whether the suite's draft model goes to a method: to those that cannot do without.

    MTP heads are part of the model, unless the draft model is a file of heads.
    """
    parts = parts_of(method)
    if any(part in WITH_DRAFT for part in parts):
        return True
    if "mtp" not in parts or draft is None or not runner.packagings:
        return False
    return shelf.file(str(draft)).facts.mtp_only


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
        if arm.synthetic is not None:
            parts.append(f"synthetic-{_figures(arm.synthetic)}")
        if several_drafts and arm.draft_model:
            parts.append(Path(arm.draft_model).stem)
        parts += [f"{name}={value}" for name, value in arm.options if name in varied]
        base = re.sub(r"[^A-Za-z0-9._=+-]+", "_", "-".join(parts))[:80]
        name = base
        for number in itertools.count(2):
            if name not in used:
                break
            name = f"{base}-{number}"
        used.add(name)
        named.append(arm.model_copy(update={"id": name}))
    return named


def _figures(synthetic: SyntheticAcceptance) -> str:
    """'2.5' or '0.9-0.6'."""
    numbers = synthetic.rates if synthetic.length is None else (synthetic.length,)
    return "-".join(f"{number:g}" for number in numbers)
