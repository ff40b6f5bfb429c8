"""What a tuning chooses from where it is not told: every method that can work here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.gather import gather
from harness.plan import make_plan
from harness.suite import SuiteError
from runners.base.contract import Missing
from runners.base.speculation import PLAIN, WITH_DRAFT

BUDGET = "10m"
DRAFT_TOKENS = "1-8,12,16"


def tune_flags(flags: Mapping[str, Any], runner_args: Sequence[str]) -> dict[str, Any]:
    """What `gather` takes for a tuning: `flags`, and what they leave open.

    Raises:
        SuiteError: nothing that speculates can work here; and as `gather` and `make_plan`.
    """
    found = {"name": "tune", "budget": BUDGET, "draft_tokens": DRAFT_TOKENS, **flags}
    if set(found.get("methods", ())) == {PLAIN}:
        raise SuiteError("--method none is plain decoding: there is nothing to choose from")
    if "methods" in found:
        return found
    _, runners = gather(None, {k: v for k, v in found.items() if k != "draft_tokens"}, ())
    runner = next(iter(runners.values()))
    support = runner.find()
    if runner.attached:
        raise SuiteError(
            f"{runner.name} is a server that already runs, with the one setting that it was "
            "started with: there is nothing to choose from"
        )
    if isinstance(support, Missing):  # Whoever launches it says so.
        return found
    # A draft model may be one of any of these kinds: which of them, its file tells.
    drafts = () if "draft_model" in found else WITH_DRAFT
    methods = tuple(
        one.method
        for one in support.methods
        if one.supported and one.method != PLAIN and one.method not in drafts
    )
    if not methods:
        raise SuiteError(f"{runner.name} can do nothing but plain decoding: nothing to tune")
    suite, runners = gather(None, {**found, "methods": methods}, runner_args)
    arms = make_plan(suite, runners).measured
    return {**found, "methods": tuple(dict.fromkeys(a.method for a in arms if a.method != PLAIN))}
