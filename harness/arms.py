"""The arms of a suite: what is measured against what."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.counterparts import with_counterparts
from harness.feasible import judge
from harness.model_choice import DRAFT_MODEL, choose
from harness.models.errors import ModelFileError
from harness.models.shelf import Shelf
from harness.packagings import Model, SameModels
from harness.records import Arm
from harness.suite import ArmSpec, Suite, SuiteError, Values, place_of
from runners.base.contract import OptionValue, Runner
from runners.base.speculation import AS_SERVED, PLAIN, WITH_DRAFT, SyntheticAcceptance, parts_of

MOST_ARMS = 2000

Options = tuple[tuple[str, OptionValue], ...]


def make_arms(suite: Suite, runners: Mapping[str, Runner], shelf: Shelf) -> tuple[Arm, ...]:
    """Every arm of a suite, each with its plain arm and its counterpart; what cannot work says why.

    Raises:
        SuiteError: an option or a setting that no arm looks at, too many arms.
        ModelFileError: a model can no longer be read.
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
    for spec, runner in _by_runner(specs or [ArmSpec()], suite):
        drafts.extend(_expand(spec, runner, suite, runners, shelf))
        if len(drafts) > MOST_ARMS:
            raise SuiteError(f"the suite has more than {MOST_ARMS} arms: sweep fewer values")
    unique = list(dict.fromkeys(drafts))
    _check_used(suite, unique, runners)
    judged = judge(unique, runners, shelf)
    varied = _varied(judged, runners)
    models = SameModels(
        (
            *(suite.model, suite.draft_model),
            *(model for spec in suite.arm for model in (spec.model, spec.draft_model)),
        )
    )
    named = _named(judged, varied, models)
    plain = {_shared(arm, runners): arm.id for arm in named if arm.method == PLAIN}
    arms = (
        arm.model_copy(
            update={
                "baseline": arm.id if arm.as_served else plain[_shared(arm, runners)],
                "varied": varied,
            }
        )
        for arm in named
    )
    return with_counterparts(arms, suite, runners, models)


def _by_runner(specs: Sequence[ArmSpec], suite: Suite) -> list[tuple[ArmSpec, str]]:
    """Each entry with each runner that it is for; all of one runner of the suite together."""
    pairs = [(spec, name) for spec in specs for name in spec.runner or suite.runner]
    if len(suite.runner) == 1:
        return pairs
    order = {name: number for number, name in enumerate(suite.runner)}
    return sorted(pairs, key=lambda pair: order.get(pair[1], len(order)))


def _expand(
    spec: ArmSpec, runner_name: str, suite: Suite, runners: Mapping[str, Runner], shelf: Shelf
) -> Iterator[Arm]:
    """The arms of one entry for one runner: every draft length with every set of options, and its
    plain arms."""
    runner = runners[runner_name]
    if runner.attached:
        yield from _as_served(spec, runner_name, suite, runners)
        return
    model = choose(spec.model or suite.model, runner, shelf)
    lengths = spec.draft_tokens or suite.draft_tokens
    draft = spec.draft_model
    if draft is None and takes_draft(spec.method, suite.draft_model, runner, shelf):
        draft = suite.draft_model
    args: dict[str, Values] = dict(runner.needed_options(spec.method, lengths))
    args |= _merged(runner, (suite.args, _of_build(runner_name, suite), spec.args))

    plain = Arm(
        id="",
        runner=runner_name,
        model=model.path,
        method=PLAIN,
        draft_tokens=None,
        impossible=model.reason,
        baseline="",
    )

    def with_options(method: str) -> Iterator[Arm]:
        applying = {name: v for name, v in args.items() if runner.applies(name, method)}
        for options in _crossed(applying):
            yield plain.model_copy(update={"method": method, "options": options})

    yield from with_options(PLAIN)
    if spec.method == PLAIN:
        return
    chosen = choose(draft, runner, shelf, DRAFT_MODEL)
    drafting = {"draft_model": chosen.path, "impossible": model.reason or chosen.reason}
    for arm in with_options(spec.method):
        for synthetic in spec.synthetic_acceptance or (None,):
            for length in lengths:
                yield arm.model_copy(
                    update={**drafting, "draft_tokens": length, "synthetic": synthetic}
                )


def _as_served(
    spec: ArmSpec, name: str, suite: Suite, runners: Mapping[str, Runner]
) -> Iterator[Arm]:
    """The arms of a server that already runs: one, or one for each set of its requests' options.

    Beside runners that are launched it takes only options of its own: what goes to every runner is
    meant for launches, and a field of a request has no list of names that it could be held against.
    """
    if name in spec.runner and (spec.method != PLAIN or spec.model or spec.draft_model):
        raise SuiteError(
            f"{place_of(('arm', suite.arm.index(spec)))}: {name} is a server that already runs: "
            "it has the model and the method that it was started with, and an arm may set only "
            "options of its requests (args)"
        )
    runner = runners[name]
    alone = all(runners[other].attached for other in suite.runner)
    own = name in spec.runner or (alone and spec.method == PLAIN)
    tables = (suite.args if alone else {}, _of_build(name, suite), spec.args if own else {})
    args = _merged(runner, tables)
    for options in _crossed({key: v for key, v in args.items() if runner.applies(key, AS_SERVED)}):
        yield Arm(
            id="",
            runner=name,
            model=None,
            method=AS_SERVED,
            draft_tokens=None,
            options=options,
            baseline="",
        )


def _of_build(name: str, suite: Suite) -> Mapping[str, Values]:
    """The options for one runner alone."""
    build = suite.runners.get(name)
    return {} if build is None else build.args


def _merged(runner: Runner, tables: Iterable[Mapping[str, Values]]) -> dict[str, Values]:
    """Options by the runner's names; later tables win."""
    return {runner.canonical(key): value for table in tables for key, value in table.items()}


def takes_draft(method: str, draft: Model | None, runner: Runner, shelf: Shelf) -> bool:
    """Whether the suite's draft model goes to a method: to those that cannot do without.

    MTP heads are part of the model, unless the draft model is a file of heads. One that cannot be
    read may be one, so that a mistyped name is not passed over.
    """
    parts = parts_of(method)
    if any(part in WITH_DRAFT for part in parts):
        return True
    if "mtp" not in parts or draft is None or not runner.packagings:
        return False
    chosen = choose(draft, runner, shelf, DRAFT_MODEL)
    try:
        heads = shelf.file(str(chosen.path)).facts.mtp_only
    except ModelFileError:
        return True
    return heads and chosen.reason is None


def _check_used(suite: Suite, arms: Sequence[Arm], runners: Mapping[str, Runner]) -> None:
    """An option that no arm has would be dropped without a word."""
    used = {(arm.runner, name) for arm in arms for name, _ in arm.options}
    given = (suite.args, *(spec.args for spec in suite.arm))
    everywhere = [(name, runners) for args in given for name in args]
    of_one = [
        (name, {runner: runners[runner]})
        for runner, build in suite.runners.items()
        if runner in runners
        for name in build.args
    ]
    for name, takers in (*everywhere, *of_one):
        if not any((taker, runner.canonical(name)) in used for taker, runner in takers.items()):
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


def _varied(arms: Sequence[Arm], runners: Mapping[str, Runner]) -> tuple[str, ...]:
    """Options that have more than one value, or that only some arms of a method have.

    A kind of runner that has an option nowhere says nothing of it: each has options of its own.
    """
    values: dict[tuple[str, str], dict[str, set[object]]] = {}
    names = sorted({name for arm in arms for name, _ in arm.options})
    for arm in arms:
        own = dict(arm.options)
        for name in names:
            of_kinds = values.setdefault((arm.method, name), {})
            of_kinds.setdefault(runners[arm.runner].name, set()).add(own.get(name))
    varied = {
        name
        for (_, name), of_kinds in values.items()
        if len(set[object]().union(*(v for v in of_kinds.values() if v != {None}))) > 1
    }
    return tuple(name for name in names if name in varied)


def _named(arms: Sequence[Arm], varied: Sequence[str], models: SameModels) -> list[Arm]:
    """The arms with ids: short, usable as file names, unique."""
    several_runners = len({arm.runner for arm in arms}) > 1
    several_models = models.several(arm.model for arm in arms if not arm.as_served)
    several_drafts = models.several(arm.draft_model for arm in arms if arm.draft_model)
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
