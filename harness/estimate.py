"""About how long a plan will take, before anything is launched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.machine.bandwidth import BandwidthError, measure_read_bandwidth
from harness.machine.fingerprint import read_machine
from harness.plan import Plan
from harness.theory.ceiling import decode_ceiling
from runners.base.contract import Missing, Runner

ASSUMED_SHARE = 0.5
"""Of the bandwidth ceiling that plain decoding reaches: 45% to 90% in published measurements."""
PREFILL_ADVANTAGE = 3
"""How many prompt tokens are read in the time of one generated token, at the least."""
LOADING_BYTES_PER_S = 1e9
STARTING_S = 1.0
"""Of a runner that is not here to say how long it takes."""


@dataclass(frozen=True)
class Estimate:
    """Seconds for a whole plan; None where they cannot be told, for the `reason`."""

    seconds: float | None
    """For the least rounds."""
    reason: str = ""
    most_s: float | None = None
    """For the most rounds, where what is measured decides how many there are."""

    @property
    def words(self) -> str:
        if self.seconds is None:
            return f"time unknown: {self.reason}"
        span = f"about {_span(self.seconds)}"
        if self.most_s is not None:
            span = f"at least {span} and at most about {_span(self.most_s)}"
        return (
            f"{span} if decoding reaches {ASSUMED_SHARE:.0%} of the memory bandwidth "
            "and every answer its full length"
        )


def _span(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} minutes"


def estimate(plan: Plan, runners: Mapping[str, Runner]) -> Estimate:
    """Seconds, from the models' bytes and this machine's measured bandwidth.

    `runners` holds every runner of the plan.

    Raises:
        ModelFileError: a model cannot be read.
    """
    for arm in plan.measured:
        if runners[arm.runner].attached:
            return Estimate(None, f"what {arm.runner} serves, and on what, is not known before")
        if not runners[arm.runner].packagings:
            return Estimate(None, "the runner invents its answers")
    models = {arm.model: plan.shelf.file(str(arm.model)).facts for arm in plan.measured}
    gpu = [g.bandwidth_bytes_per_s for g in read_machine().gpus if g.bandwidth_bytes_per_s]
    try:
        bandwidth = (
            plan.suite.bandwidth or max(gpu, default=0.0) or measure_read_bandwidth().bytes_per_s
        )
    except BandwidthError as error:
        return Estimate(None, str(error))
    starting = {name: _starting_s(runners[name]) for name in {a.runner for a in plan.measured}}
    total = 0.0
    for arm in plan.measured:
        facts = models[arm.model]
        starts = len(plan.suite.max_tokens)
        total += starts * (starting[arm.runner] + facts.tensor_bytes / LOADING_BYTES_PER_S)
        per_token = 1 / (
            ASSUMED_SHARE
            * decode_ceiling(bandwidth, facts.active_bytes, facts.kv_bytes_per_token or 0, 0)
        )
        for prompt in plan.prompts:
            read = sum(len(m.content) for m in prompt.messages) / 4 / PREFILL_ADVANTAGE
            total += sum((read + longest) * per_token for longest in plan.suite.max_tokens)
    suite = plan.suite
    return Estimate(
        total * suite.least_rounds, most_s=total * suite.most_rounds if suite.goes_on else None
    )


def _starting_s(runner: Runner) -> float:
    found = runner.find()
    return STARTING_S if isinstance(found, Missing) else found.starting_s
