"""What a report says of the machine, the runners, the models and how it was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.goal import goal_of
from harness.machine.fingerprint import Machine
from harness.records import ModelInfo, RunnerInfo, Session
from harness.report import numbers
from harness.run_folder import RunData

WALL_TIME = "wall time, from the first launch to the last"
"""What the clock of a session covers: planning before it and reports after it are not in it."""


@dataclass(frozen=True)
class Fact:
    name: str
    value: str


@dataclass(frozen=True)
class FactGroup:
    heading: str
    facts: tuple[Fact, ...]


def machine_facts(machine: Machine) -> FactGroup:
    """What it was measured on."""
    facts = [
        Fact("processor", machine.cpu),
        Fact("cores", f"{machine.cores} ({machine.threads} threads usable)"),
        Fact("memory", numbers.size(machine.memory_bytes)),
        Fact("system", machine.system),
        Fact("python", machine.python),
    ]
    if machine.last_level_cache_bytes is not None:
        facts.insert(2, Fact("last cache", numbers.size(machine.last_level_cache_bytes)))
    bandwidth = machine.bandwidth
    facts.append(
        Fact(
            "memory bandwidth",
            "not measured"
            if bandwidth is None
            else f"{numbers.bandwidth(bandwidth.bytes_per_s)} read, best of "
            f"{len(bandwidth.readings)} with {bandwidth.threads} threads",
        )
    )
    if machine.virtual is not None:
        facts.append(Fact("virtual machine", "yes" if machine.virtual else "no"))
    for gpu in machine.gpus:
        parts = [gpu.name]
        if gpu.memory_bytes is not None:
            parts.append(numbers.size(gpu.memory_bytes))
        if gpu.bandwidth_bytes_per_s is not None:
            parts.append(f"{numbers.bandwidth(gpu.bandwidth_bytes_per_s)} nominal")
        if gpu.driver is not None:
            parts.append(f"driver {gpu.driver}")
        facts.append(Fact("GPU", ", ".join(parts)))
    return FactGroup("Machine", tuple(facts))


def runner_facts(runner: RunnerInfo, *, as_served: bool = False) -> FactGroup:
    """Which program it was, and what it tells; `as_served`: it was started by somebody else."""
    processor = numbers.NOT_EXPOSED if as_served else "none but the processor"
    return FactGroup(
        runner.name,
        (
            Fact("version", runner.version),
            Fact("where", runner.where),
            Fact("devices", ", ".join(runner.devices) or processor),
            Fact("acceptance from", runner.acceptance_source),
        ),
    )


def model_facts(model: ModelInfo) -> FactGroup:
    """What a model's files say."""
    facts = [
        Fact("file", f"{numbers.size(model.size)}, SHA-256 {model.sha256}"),
    ]
    known = model.facts
    if known is None:
        facts.append(Fact("header", "could not be read"))
        return FactGroup(model.path, tuple(facts))
    name = [known.name or "unnamed", known.architecture, known.format]
    if known.quantization is not None:
        name.append(known.quantization)
    facts += [
        Fact("model", ", ".join(name)),
        Fact("parameters", f"{known.parameters / 1e9:.3g} B in {known.layers} layers"),
        Fact("read per token", f"{numbers.size(known.active_bytes)} of weights"),
        Fact("KV cache", _kv_cache(known.kv_bytes_per_token)),
    ]
    if known.experts is not None:
        facts.append(Fact("experts", f"{known.experts_used} of {known.experts} a token"))
    if known.mtp_layers:
        facts.append(Fact("MTP layers", str(known.mtp_layers)))
    return FactGroup(model.path, tuple(facts))


def _kv_cache(bytes_per_token: int | None) -> str:
    return (
        "not known"
        if bytes_per_token is None
        else f"{numbers.size(bytes_per_token)} a token at F16"
    )


def method_facts(run: RunData) -> FactGroup:
    """How it was measured, and where the time went."""
    manifest = run.manifest
    prompts = Counter(prompt.workload for prompt in manifest.prompts)
    interrupted = sum(session.interrupted for session in run.sessions)
    facts = [
        Fact("rounds", _rounds(run)),
        Fact("order", f"settings shuffled in each round, seed {manifest.suite.seed}"),
        Fact("prompts", ", ".join(f"{count} {name}" for name, count in prompts.items())),
        Fact("max tokens", ", ".join(map(str, manifest.suite.max_tokens))),
        Fact(
            "temperature",
            "0 (greedy)" if manifest.suite.temperature == 0 else f"{manifest.suite.temperature:g}",
        ),
        *(
            []
            if all(arm.as_served for arm in manifest.arms)
            else [Fact("context", str(manifest.context))]
        ),
        Fact(WALL_TIME, wall_time(run.sessions) or "not recorded"),
        Fact("sessions", f"{len(run.sessions)}, {interrupted} of them interrupted"),
    ]
    return FactGroup("How it was measured", tuple(facts))


def rounds_begun(run: RunData) -> int:
    """How many rounds a run has, or has come to."""
    return max((sample.round for sample in run.samples), default=0)


def _rounds(run: RunData) -> str:
    """'3', or '7, at least 3 and at most 30, until every interval is within ±2%'."""
    suite = run.manifest.suite
    if not suite.goes_on:
        return str(suite.least_rounds)
    least, most = suite.least_rounds, suite.most_rounds
    return f"{rounds_begun(run)}, at least {least} and at most {most}, {goal_of(suite)}"


def wall_time(sessions: Sequence[Session]) -> str | None:
    """'812 s, 41.0% loading, 58.6% waiting for tokens, 0.4% the harness itself'."""
    wall = sum(session.wall_s for session in sessions)
    if wall <= 0:
        return None
    loading = sum(session.loading_s for session in sessions) / wall
    waiting = sum(session.waiting_s for session in sessions) / wall
    own = sum(session.harness_s for session in sessions) / wall
    return (
        f"{numbers.seconds(wall)}, {numbers.percent(loading)} loading, "
        f"{numbers.percent(waiting)} waiting for tokens, {numbers.percent(own)} the harness itself"
    )
