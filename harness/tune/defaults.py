"""What a tuning chooses from where it is not told: every method that can work here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.gather import gather
from harness.plan import make_plan
from harness.suite import SuiteError
from harness.tune.drafts import arms_of, check_taken, draft_models, that_can_work
from runners.base.contract import Found, Missing, Runner
from runners.base.speculation import PLAIN, WITH_DRAFT

BUDGET = "10m"
DRAFT_TOKENS = "1-8,12,16"
LOOKUP = "ngram-simple"
LOOKUP_TOKENS = "4-8,12,16"
"""Of `LOOKUP`, which looks up as many tokens as its shortest draft has: a single one is found
anywhere, and what follows it there is hardly ever right."""


def tune_flags(flags: Mapping[str, Any], runner_args: Sequence[str]) -> dict[str, Any]:
    """What `gather` takes for a tuning: `flags`, and what they leave open.

    `draft_model` may name several models: each is then drafted with by the methods that take it.

    Raises:
        SuiteError: nothing that speculates can work here, or a draft model with nothing; and as
            `gather` and `make_plan`.
    """
    if set(flags.get("methods", ())) == {PLAIN}:
        return _of_plain(flags, runner_args)
    found = _chosen_from(flags, runner_args)
    return found if "draft_tokens" in flags else _with_long_lookups(found)


def _chosen_from(flags: Mapping[str, Any], runner_args: Sequence[str]) -> dict[str, Any]:
    found = {"name": "tune", "budget": BUDGET, "draft_tokens": DRAFT_TOKENS, **flags}
    drafts = draft_models(found.pop("draft_model", ()))
    chosen = "methods" in found
    if not chosen or len(drafts) > 1:
        runner = _runner(found)
        support = runner.find()
        if isinstance(support, Missing):  # Whoever launches it says so.
            return found if not drafts else {**found, "draft_model": drafts[0].paths}
        if not chosen:
            found["methods"] = _methods(runner, support, has_draft=bool(drafts))
    if len(drafts) == 1:
        found["draft_model"] = drafts[0].paths
    elif drafts:
        found["arm"], found["methods"] = arms_of(found["methods"], drafts, runner)
    if chosen and not drafts:
        return found
    plan = make_plan(*gather(None, found, runner_args))
    check_taken(drafts, plan, chosen=chosen)
    return found if chosen else that_can_work(found, plan)


def _with_long_lookups(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Lookups, alone or in a chain, as arms with draft lengths of their own."""
    methods = settings.get("methods", ())
    lookups = [method for method in methods if LOOKUP in method.split("+")]
    if not lookups:
        return dict(settings)
    arms = tuple({"method": method, "draft_tokens": LOOKUP_TOKENS} for method in lookups)
    rest = tuple(method for method in methods if method not in lookups)
    return {**settings, "methods": rest, "arm": (*settings.get("arm", ()), *arms)}


def _of_plain(flags: Mapping[str, Any], runner_args: Sequence[str]) -> dict[str, Any]:
    """Of plain decoding alone, options may be free.

    Raises:
        SuiteError: none is; and as `gather` and `make_plan`.
    """
    found = {"name": "tune", "budget": BUDGET, **flags}
    if len(make_plan(*gather(None, found, runner_args)).arms) == 1:
        raise SuiteError(
            "--method none is plain decoding: there is nothing to choose from, unless an option "
            "has several values, as in --runner-arg threads=4,8"
        )
    return found


def _runner(flags: Mapping[str, Any]) -> Runner:
    """The one to tune.

    Raises:
        SuiteError: a server that already runs; and as `gather`.
    """
    _, runners = gather(None, {k: v for k, v in flags.items() if k != "draft_tokens"}, ())
    runner = next(iter(runners.values()))
    if runner.attached:
        raise SuiteError(
            f"{runner.name} is a server that already runs, with the one setting that it was "
            "started with: there is nothing to choose from"
        )
    return runner


def _methods(runner: Runner, support: Found, *, has_draft: bool) -> tuple[str, ...]:
    """Those that the runner has; which of them a draft model goes with, its file tells.

    Raises:
        SuiteError: there is none.
    """
    drafting = () if has_draft else WITH_DRAFT
    methods = tuple(
        one.method
        for one in support.methods
        if one.supported and one.method != PLAIN and one.method not in drafting
    )
    if not methods:
        needs_draft = any(one.supported and one.method in WITH_DRAFT for one in support.methods)
        why = "without a draft model: give one with --draft-model" if needs_draft else "here"
        raise SuiteError(f"{runner.name} can do nothing but plain decoding {why}")
    return methods
