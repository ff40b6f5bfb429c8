"""The draft models that a tuning chooses from, each with the methods that take such a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.arms import takes_draft
from harness.models.errors import printable
from harness.models.shelf import Shelf
from harness.plan import Plan
from harness.records import Arm
from harness.suite import SuiteError
from harness.suite_file import anchored_path, model_of_flags
from runners.base.contract import Runner
from runners.base.packaging import packaging_of

FLAG = "--draft-model"


@dataclass(frozen=True)
class DraftModel:
    """One of them: one path, or one for each packaging."""

    paths: tuple[str, ...]
    """Absolute."""

    @property
    def shown(self) -> str:
        return ", ".join(map(printable, self.paths))

    def drafts_for(self, arm: Arm) -> bool:
        return arm.draft_model in self.paths


def draft_models(given: Sequence[str]) -> tuple[DraftModel, ...]:
    """What `--draft-model`, given so often, names.

    Paths of different packagings are one model. As soon as two are of the same one, each is a model
    of its own.

    Raises:
        SuiteError: one of several does not exist, or cannot be a path.
    """
    paths = tuple(dict.fromkeys(anchored_path(Path.cwd(), path, FLAG) for path in given))
    if len(paths) < 2:
        return tuple(DraftModel((path,)) for path in paths)
    found = [packaging_of(Path(path)) for path in paths]
    if None not in found and len(set(found)) < len(found):
        return tuple(DraftModel((path,)) for path in paths)
    # It also says what lies nowhere.
    model_of_flags(Path.cwd(), paths, FLAG)
    return (DraftModel(paths),)


def arms_of(
    methods: Iterable[str], drafts: Sequence[DraftModel], runner: Runner
) -> tuple[list[dict[str, str]], list[str]]:
    """The `[[arm]]`s of several draft models, and those of the methods that take none of them."""
    shelf = Shelf()
    arms, alone = [], []
    for method in methods:
        taken = [
            {"method": method, "draft_model": draft.paths[0]}
            for draft in drafts
            if takes_draft(method, Path(draft.paths[0]), runner, shelf)
        ]
        arms += taken
        if not taken:
            alone.append(method)
    return arms, alone


def that_can_work(settings: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """`settings` without the methods, alone or with a draft model, that cannot work here."""
    measured = {(arm.method, arm.draft_model) for arm in plan.measured}
    of_arms = [(arm["method"], arm["draft_model"]) for arm in settings.get("arm", ())]
    kept = dict(settings)
    if of_arms:
        kept["arm"] = tuple(
            {"method": method, "draft_model": draft}
            for method, draft in of_arms
            if (method, draft) in measured
        )
    works = {method for method, _ in measured}
    with_draft = {method for method, _ in of_arms}
    kept["methods"] = tuple(m for m in settings["methods"] if m in works and m not in with_draft)
    return kept


def check_taken(drafts: Iterable[DraftModel], plan: Plan, *, chosen: bool) -> None:
    """Refuse a draft model that nothing would be measured with: its name may be mistyped.

    `chosen`: the user named the methods; whoever plans says which of those cannot work.

    Raises:
        SuiteError: says why each method cannot take it.
    """
    for draft in drafts:
        own = [arm for arm in plan.arms if draft.drafts_for(arm)]
        if not own:
            raise SuiteError(f"{FLAG} {draft.shown}: no method that is chosen drafts with a model")
        if chosen or any(arm.impossible is None for arm in own):
            continue
        reasons = {arm.method: str(arm.impossible) for arm in own}
        if len(set(reasons.values())) == 1:
            raise SuiteError(f"{FLAG}: {next(iter(reasons.values()))}")
        lines = [f"{method}: {reason}" for method, reason in reasons.items()]
        raise SuiteError("\n".join([f"{FLAG} {draft.shown} goes with no method here", *lines]))
