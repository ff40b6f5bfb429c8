"""Puts together a run's manifest: plan, machine, versions of the runners, hashes of the models."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.machine.bandwidth import BandwidthError, measure_read_bandwidth
from harness.machine.fingerprint import read_machine
from harness.models.errors import ModelFileError, reading
from harness.models.read import files_of
from harness.plan import Plan
from harness.records import Arm, Manifest, ModelInfo, PromptInfo, RunnerInfo
from harness.suite import RunnerSpec, Suite, place_of
from runners.base.contract import Found, Missing, Runner, UsageError
from runners.endpoint.kinds import UNKNOWN


def version() -> str:
    """This project's own version."""
    return importlib.metadata.version("decodebench")


def make_manifest(
    plan: Plan,
    runners: Mapping[str, Runner],
    command: Sequence[str],
    tell: Callable[[str], None],
    *,
    measure: bool = True,
) -> Manifest:
    """Look at everything that a run depends on. `tell` hears what takes its time.

    `measure` False leaves out the memory bandwidth, which no comparison of two manifests needs, nor
    does a run of servers that already run.
    Where it cannot be measured, `tell` hears why and the run goes on without ceilings.

    Raises:
        UsageError: a runner is not installed.
        ModelFileError: a model cannot be read.
    """
    needed = {arm.runner for arm in plan.measured}
    runner_infos = tuple(
        _runner_info(name, runners[name], plan.suite)
        for name in dict.fromkeys(arm.runner for arm in plan.arms)
        if name in needed or isinstance(runners[name].find(), Found)
    )
    models = read_models(plan, runners, tell)
    machine = read_machine()
    # No ceiling is made of a server whose files, and whose machine, are not known.
    given = plan.suite.bandwidth is not None
    if measure and not given and not all(arm.as_served for arm in plan.arms):
        tell("measuring memory bandwidth")
        try:
            machine = machine.model_copy(update={"bandwidth": measure_read_bandwidth()})
        except BandwidthError as error:
            tell(str(error))
    return Manifest(
        decodebench=version(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        command=tuple(command),
        suite=plan.suite,
        context=plan.context,
        arms=plan.arms,
        prompts=tuple(
            PromptInfo(workload=p.workload, id=p.id, kind=p.kind, sha256=p.sha256)
            for p in plan.prompts
        ),
        runners=runner_infos,
        models=models,
        machine=machine,
        fingerprint=plan.fingerprint({model.path: model.sha256 for model in models}),
    )


def read_models(
    plan: Plan, runners: Mapping[str, Runner], tell: Callable[[str], None]
) -> tuple[ModelInfo, ...]:
    """Facts, hash and size of every model that an arm names, over all files of it.

    Models that cannot be read are left out where no arm that can work needs them.

    Raises:
        ModelFileError: missing, no model file, or cut off.
    """
    arms = [arm for arm in plan.arms if runners[arm.runner].packagings]
    needed = set(_paths(arm for arm in arms if arm.impossible is None))
    facts = {}
    for path in _paths(arms):
        try:
            facts[path] = plan.shelf.file(path).facts
        except ModelFileError:
            if path in needed:
                raise
    infos = []
    for path, own in facts.items():
        tell(f"hashing {Path(path).name}")
        files = files_of(Path(path))
        with reading(Path(path)):
            digest = _hash(files)
            size = sum(file.stat().st_size for file in files)
        infos.append(ModelInfo(path=path, sha256=digest, size=size, facts=own))
    return tuple(infos)


def _paths(arms: Iterable[Arm]) -> list[str]:
    """Every model and draft model, once."""
    paths = dict.fromkeys(path for arm in arms for path in (arm.model, arm.draft_model))
    return [path for path in paths if path is not None]


def _hash(files: Sequence[Path]) -> str:
    """SHA-256 of the file; of several, of their digests in order."""
    digests = []
    for path in files:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256"))
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()


def differences(old: Manifest, new: Manifest) -> list[str]:
    """What makes it senseless to measure on into `old` with the plan of `new`; [] when nothing."""
    found = []
    for key in type(old.suite).model_fields:
        before, now = getattr(old.suite, key), getattr(new.suite, key)
        if key == "budget" and None not in (before, now):
            continue  # A tuning may be given more time.
        if key == "runners":
            found += [
                f"{place_of((key, name))}: was {_build(before.get(name))}, is now "
                f"{_build(now.get(name))}"
                for name in dict.fromkeys((*before, *now))
                if before.get(name) != now.get(name)
            ]
        elif before != now:
            found.append(f"{key}: was {_shown(before)}, is now {_shown(now)}")
    hashes = {model.path: model.sha256 for model in new.models}
    found += [
        f"the model {model.path} has changed"
        for model in old.models
        if hashes.get(model.path, model.sha256) != model.sha256
    ]
    prompts = {(p.workload, p.id): p.sha256 for p in new.prompts}
    found += [
        f"the prompt {p.workload}/{p.id} has changed"
        for p in old.prompts
        if prompts.get((p.workload, p.id)) != p.sha256
    ]
    reasons = {arm.id: arm.impossible for arm in new.arms}
    found += [
        f"{arm.id}: {_possible(arm.impossible)}, now {_possible(reasons[arm.id])}"
        for arm in old.arms
        if reasons.get(arm.id, arm.impossible) != arm.impossible
    ]
    # A server that did not answer then may answer now: that is what a run is gone on with for.
    versions = {r.name: r.version for r in new.runners if r.version != UNKNOWN}
    found += [
        f"{runner.name} was {runner.version}, is now {versions[runner.name]}"
        for runner in old.runners
        if runner.version not in (UNKNOWN, versions.get(runner.name, runner.version))
    ]
    if old.machine.cpu != new.machine.cpu or old.machine.gpus != new.machine.gpus:
        found.append("this is another machine")
    if not found and old.fingerprint != new.fingerprint:
        found.append(
            f"decodebench {new.decodebench} lays it out otherwise than the decodebench "
            f"{old.decodebench} that began it"
        )
    return found


def _possible(reason: str | None) -> str:
    return "it could be measured" if reason is None else f"it could not be measured ({reason})"


def _build(build: RunnerSpec | None) -> str:
    """'runner=endpoint, program=http://localhost:8080/v1'."""
    set_keys = {} if build is None else build.model_dump(exclude_none=True)
    return ", ".join(f"{key}={value}" for key, value in set_keys.items() if value) or "nothing"


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value) or "nothing"
    return str(value)


def _runner_info(name: str, runner: Runner, suite: Suite) -> RunnerInfo:
    found = runner.find()
    if isinstance(found, Missing):
        raise UsageError(f"{name}: {found.reason}; {found.advice}")
    build = suite.runners.get(name)
    return RunnerInfo(
        name=name,
        kind=name if build is None else build.runner,
        program=None if build is None else build.program,
        version=found.version,
        where=found.where,
        acceptance_source=found.acceptance_source,
        devices=found.devices,
    )
