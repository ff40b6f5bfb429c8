"""What a table calls each arm: its label, and as much more as tells the run's arms apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePath

from harness.records import Arm

PARTED = " · "
"""Between runner, model, label and draft model of a name."""


def setting_names(arms: Sequence[Arm]) -> dict[str, str]:
    """Arm id -> a name that no other arm of the run has.

    Runner, model and draft model are named only where the run has several of them; a model in
    several packagings is one.
    """
    names = {arm.id: _name(arm, arms) for arm in arms}
    uses = Counter(names.values())
    return {arm: name if uses[name] == 1 else f"{name} ({arm})" for arm, name in names.items()}


def series_name(arm: Arm, arms: Sequence[Arm]) -> str:
    """The setting without its draft tokens: what one line of a figure stands for."""
    return _name(arm.model_copy(update={"draft_tokens": None}), arms)


def _name(arm: Arm, arms: Sequence[Arm]) -> str:
    parts = []
    if len({other.runner for other in arms}) > 1:
        parts.append(arm.runner)
    if arm.model is not None and len(_distinct(arms, lambda other: other.model)) > 1:
        parts.append(PurePath(arm.model).name)
    parts.append(arm.label)
    drafts = _distinct(arms, lambda other: other.draft_model) - {None}
    if arm.draft_model is not None and len(drafts) > 1:
        parts.append(f"draft {PurePath(arm.draft_model).name}")
    return PARTED.join(parts)


def _distinct(arms: Sequence[Arm], path_of: Callable[[Arm], str | None]) -> set[str | None]:
    """The models that the arms name, where two packagings of one model count once.

    An arm and its counterpart have the same models, so these are packagings of each other.
    """
    by_id = {arm.id: arm for arm in arms}
    same = {
        (arm.runner, path_of(arm)): path_of(by_id[arm.counterpart])
        for arm in arms
        if arm.counterpart in by_id
    }
    return {same.get((arm.runner, path_of(arm)), path_of(arm)) for arm in arms}
