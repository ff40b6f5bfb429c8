"""In what two sides differ beside what is to be compared, and what makes a ratio meaningless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.compare.properties import (
    MAX_TOKENS,
    MODEL,
    RUNNER,
    SYNTHETIC,
    Properties,
    Property,
)
from harness.compare.side import Side
from harness.machine.fingerprint import Gpu, Machine
from harness.records import Manifest, RunnerInfo
from harness.report import numbers

MEMORY_APART = 0.05
"""Share of the memory: what a system takes of it for itself differs from start to start."""
BANDWIDTH_APART = 0.1
"""Share of the measured bandwidth that is worth a word; on shared machines it is never the same."""
FOUND = "what was found"
"""The program of a runner where none was named."""


@dataclass(frozen=True)
class Difference:
    """Something that is not the same on both sides."""

    what: str
    baseline: str
    candidate: str
    forbids: bool
    """A ratio of the two would mean nothing; refused without --force."""


Of = Mapping[str, Property]


def differences(
    baseline: Side, candidate: Side, sides: Properties, pairs: Sequence[tuple[Of, Of]]
) -> tuple[Difference, ...]:
    """Everything in which they differ, what forbids a comparison first; `pairs` are the trials that
    are to be compared.

    Two sets of arms of one run have the same machine, and differ in what was wanted: there nothing
    forbids.
    """
    found = [*_of_properties(sides, pairs), *_of_runners(baseline, candidate, sides)]
    if baseline.folder.resolve() == candidate.folder.resolve():
        return tuple(replace(difference, forbids=False) for difference in found)
    before, after = baseline.manifest, candidate.manifest
    found = [*_of_machines(before.machine, after.machine), *found, *_of_plans(before, after)]
    return tuple(sorted(found, key=lambda difference: not difference.forbids))


def _of_properties(sides: Properties, pairs: Sequence[tuple[Of, Of]]) -> Iterator[Difference]:
    """Each pair of values once."""
    for name in dict.fromkeys(name for before, _ in pairs for name in before):
        # Two names of one thing are no difference: what the runners are is told by their builds.
        if name == RUNNER or name in sides.key:
            continue
        values = {
            (before[name], after[name]): None
            for before, after in pairs
            if before[name].value != after[name].value
        }
        for one, other in values:
            real_against_drawn = name == SYNTHETIC and None in (one.value, other.value)
            forbids = name in (MODEL, MAX_TOKENS) or real_against_drawn
            yield Difference(name, one.shown, other.shown, forbids)


def _of_runners(baseline: Side, candidate: Side, sides: Properties) -> Iterator[Difference]:
    """Their versions, programs and devices, where both are known."""
    names = [list(dict.fromkeys(arm.runner for arm in side.arms)) for side in (baseline, candidate)]
    pairs = [(names[0][0], names[1][0], "runner")]
    if RUNNER in sides.key:
        pairs = [(name, name, f"runner {name}") for name in names[0] if name in names[1]]
    before, after = (
        {info.name: info for info in side.manifest.runners} for side in (baseline, candidate)
    )
    for name, other, words in pairs:
        one, two = before.get(name), after.get(other)
        if one is None or two is None:
            continue
        yield from _unlike(words, _build(one), _build(two))
        yield from _unlike(f"{words}, program", one.program or FOUND, two.program or FOUND)
        devices = (", ".join(info.devices) or "not told" for info in (one, two))
        yield from _unlike(f"{words}, devices", *devices)


def _build(info: RunnerInfo) -> str:
    """'llama.cpp b9999'; runs of before builds had names are named after the kind."""
    return f"{info.kind or info.name} {info.version}"


def _of_machines(before: Machine, after: Machine) -> Iterator[Difference]:
    yield from _unlike("processor", before.cpu, after.cpu, forbids=True)
    yield from _unlike("cores", str(before.cores), str(after.cores), forbids=True)
    yield from _unlike(
        "threads of the machine", str(before.threads), str(after.threads), forbids=True
    )
    yield from _unlike("GPUs", _gpus(before), _gpus(after), forbids=True)
    if _are_apart(before.memory_bytes, after.memory_bytes, MEMORY_APART):
        sizes = numbers.size(before.memory_bytes), numbers.size(after.memory_bytes)
        yield Difference("memory", *sizes, forbids=True)
    one, two = before.bandwidth, after.bandwidth
    if one and two and _are_apart(one.bytes_per_s, two.bytes_per_s, BANDWIDTH_APART):
        rates = numbers.bandwidth(one.bytes_per_s), numbers.bandwidth(two.bytes_per_s)
        yield Difference("memory bandwidth, as measured", *rates, forbids=False)
    yield from _unlike("system", before.system, after.system)
    yield from _unlike("GPU driver", _drivers(before), _drivers(after))


def _of_plans(before: Manifest, after: Manifest) -> Iterator[Difference]:
    yield from _unlike(
        "temperature",
        f"{before.suite.temperature:g}",
        f"{after.suite.temperature:g}",
        forbids=True,
    )
    yield from _unlike("context", f"{before.context} tokens", f"{after.context} tokens")
    kept = {True: "kept", False: "not kept"}
    yield from _unlike("texts", kept[before.suite.keep_text], kept[after.suite.keep_text])
    yield from _unlike("decodebench", before.decodebench, after.decodebench)


def _unlike(what: str, before: str, after: str, *, forbids: bool = False) -> Iterator[Difference]:
    if before != after:
        yield Difference(what, before, after, forbids)


def _are_apart(one: float, two: float, share: float) -> bool:
    return max(one, two) > (1 + share) * min(one, two)


def _gpus(machine: Machine) -> str:
    return ", ".join(map(_gpu, machine.gpus)) or "none"


def _gpu(gpu: Gpu) -> str:
    return gpu.name if gpu.memory_bytes is None else f"{gpu.name} {numbers.size(gpu.memory_bytes)}"


def _drivers(machine: Machine) -> str:
    return ", ".join(dict.fromkeys(gpu.driver for gpu in machine.gpus if gpu.driver)) or "none"
