"""Which arm of the suite's first runner an arm of another runner is set beside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.packagings import SameModels
from harness.records import Arm
from harness.suite import Suite
from runners.base.contract import OptionValue, Runner


def with_counterparts(
    arms: Iterable[Arm], suite: Suite, runners: Mapping[str, Runner], models: SameModels
) -> tuple[Arm, ...]:
    """The arms, each with its counterpart: same model, draft model, method, length and acceptance.

    A server that somebody else has started does not tell which model file it has, nor how it
    decodes: it is set beside plain decoding, and that its model is the same is the user's word.
    Of several it is the one whose options are equal, as far as they were given to all runners;
    else the first.
    """
    arms = tuple(arms)
    first = suite.runner[0]
    references = [arm for arm in arms if arm.runner == first]
    given = (suite.args, *(spec.args for spec in suite.arm))
    shared = dict.fromkeys(name for args in given for name in args)

    def options(arm: Arm) -> list[OptionValue | None]:
        own = dict(arm.options)
        return [own.get(runners[arm.runner].canonical(name)) for name in shared]

    def counterpart(arm: Arm) -> str | None:
        alike = [other for other in references if _are_alike(arm, other, models)]
        equal = [other for other in alike if options(other) == options(arm)]
        return next((other.id for other in (*equal, *alike)), None)

    return tuple(
        arm if arm.runner == first else arm.model_copy(update={"counterpart": counterpart(arm)})
        for arm in arms
    )


def _are_alike(arm: Arm, other: Arm, models: SameModels) -> bool:
    if arm.as_served or other.as_served:
        return arm.draft_tokens is None and other.draft_tokens is None
    return (
        (arm.method, arm.draft_tokens, arm.synthetic)
        == (other.method, other.draft_tokens, other.synthetic)
        and models.same(arm.model, other.model)
        and models.same(arm.draft_model, other.draft_model)
    )
