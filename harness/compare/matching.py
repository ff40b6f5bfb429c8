"""Which trials of two sides belong together, and in what the sides differ beside that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from harness.analysis.settings import PARTED
from harness.compare.differences import Difference, differences
from harness.compare.errors import CompareError
from harness.compare.properties import (
    DRAFT_MODEL,
    DRAFT_TOKENS,
    MAX_TOKENS,
    METHOD,
    MODEL,
    OPTION,
    RUNNER,
    SYNTHETIC,
    WORKLOAD,
    Properties,
    Property,
    Value,
    apart,
    properties,
)
from harness.compare.side import BASELINE, CANDIDATE, Side, SideTrial
from harness.records import Manifest
from harness.report.numbers import counted

__all__ = ["Difference", "Match", "Matching", "check", "check_measured", "match"]

MOST = 5
"""Lines of one message."""

Of = tuple[SideTrial, Mapping[str, Property]]


@dataclass(frozen=True)
class Match:
    """A trial of either side: the same but for what the sides differ in. Both hold requests of the
    prompts alone that are the same text on both, and one of the two may hold none."""

    name: str
    """What sets it apart from other matches: 'ngram-mod k=4 · coding'."""
    baseline: SideTrial
    candidate: SideTrial


@dataclass(frozen=True)
class Matching:
    """Everything that can be compared, and what cannot."""

    matches: tuple[Match, ...]
    unmatched: tuple[str, ...]
    """Trials that stand against nothing, each with its side, and why where that is known."""
    differences: tuple[Difference, ...]
    """Those that forbid a comparison first."""
    paired: bool
    """Both sides are of one run, whose rounds were measured side by side."""


def match(baseline: Side, candidate: Side) -> Matching:
    """Put together the trials that differ in nothing but what one value of each side stands for.

    Raises:
        CompareError: the two have no trial in common.
    """
    sides = properties(baseline, candidate)
    paired = baseline.folder.resolve() == candidate.folder.resolve()
    prompts = _Prompts(baseline.manifest, candidate.manifest)
    before, repeated = _keyed(sides, sides.baseline)
    after, repeated_after = _keyed(sides, sides.candidate)
    matches: list[Match] = []
    unmatched: list[str] = []
    pairs: list[tuple[Mapping[str, Property], Mapping[str, Property]]] = []
    for key, (trial, of) in before.items():
        name = _name(sides, of)
        other = after.pop(key, None)
        if other is None:
            unmatched.append(f"{name}: of the {BASELINE} alone")
        elif not trial.samples and not other[0].samples:
            unmatched.append(f"{name}: no sample on either side: {other[0].failure}")
        elif (found := prompts.narrow(Match(name, trial, other[0]))) is None:
            unmatched.append(f"{name}: no prompt is the same text on both sides")
        else:
            matches.append(found)
            pairs.append((of, other[1]))
    unmatched += [f"{_name(sides, of)}: of the {CANDIDATE} alone" for _, of in after.values()]
    unmatched += [
        f"{_name(sides, of)} ({trial.setting}): the same as another trial of its side"
        for trial, of in (*repeated, *repeated_after)
    ]
    if not matches:
        raise CompareError(_nothing_in_common(baseline, candidate, sides, unmatched))
    return Matching(
        tuple(matches),
        tuple(unmatched),
        (*differences(baseline, candidate, sides, pairs), *prompts.difference(matches)),
        paired,
    )


def check_measured(matching: Matching) -> None:
    """Refuse sides of which one alone was measured: there is no ratio.

    Raises:
        CompareError: why there is none.
    """
    if any(one.baseline.samples and one.candidate.samples for one in matching.matches):
        return
    lost = [
        f"- {one.name}: {one.baseline.failure or one.candidate.failure or 'no sample'}"
        for one in matching.matches[:MOST]
    ]
    raise CompareError("\n".join(["no trial was measured on both sides", *lost]))


def check(matching: Matching) -> None:
    """Refuse sides whose ratio would mean nothing.

    Raises:
        CompareError: what differs, with the way to have the ratio all the same.
    """
    forbidding = [one for one in matching.differences if one.forbids]
    if forbidding:
        lines = [f"- {one.what}: {one.baseline} against {one.candidate}" for one in forbidding]
        raise CompareError(
            "\n".join(
                [
                    "a ratio of these two would not mean what it seems to, because they differ in",
                    *lines,
                    "Compare like with like, or add --force.",
                ]
            )
        )


class _Prompts:
    """Which prompts of two runs are the same text."""

    def __init__(self, before: Manifest, after: Manifest) -> None:
        self._before, self._after = (
            {(p.workload, p.id): p.sha256 for p in manifest.prompts} for manifest in (before, after)
        )

    def narrow(self, found: Match) -> Match | None:
        """The match with the samples of shared prompts alone; None where there is none."""
        shared = self._shared(found.baseline.workload, found.candidate.workload)
        if not shared:
            return None
        return replace(
            found,
            baseline=found.baseline.of_prompts(shared),
            candidate=found.candidate.of_prompts(shared),
        )

    def difference(self, matches: Iterable[Match]) -> Iterator[Difference]:
        """How many prompts either side has that the other has not."""
        before = after = shared = 0
        for pair in dict.fromkeys((m.baseline.workload, m.candidate.workload) for m in matches):
            before += sum(workload == pair[0] for workload, _ in self._before)
            after += sum(workload == pair[1] for workload, _ in self._after)
            shared += len(self._shared(*pair))
        if max(before, after) > shared:
            yield Difference(
                "prompts",
                _some(before, shared),
                _some(after, shared),
                forbids=False,
            )

    def _shared(self, workload: str, other: str) -> set[str]:
        return {
            prompt
            for (of, prompt), digest in self._before.items()
            if of == workload and self._after.get((other, prompt)) == digest
        }


def _some(prompts: int, shared: int) -> str:
    return f"{prompts}, of which {shared} are compared" if shared < prompts else str(prompts)


def _keyed(sides: Properties, trials: Sequence[Of]) -> tuple[dict[tuple[Value, ...], Of], list[Of]]:
    """The trials by the values of the key; and those that are the same as an earlier one."""
    found: dict[tuple[Value, ...], Of] = {}
    repeated = []
    for trial in trials:
        key = tuple(trial[1][name].value for name in sides.key)
        if found.setdefault(key, trial) is not trial:
            repeated.append(trial)
    return found, repeated


def _name(sides: Properties, of: Mapping[str, Property]) -> str:
    """What is the same on both sides and sets a trial apart; its method in any case."""
    shown = [of[name].shown for name in (RUNNER, MODEL) if name in sides.key]
    setting = [] if METHOD in sides.differing else [of[METHOD].shown]
    if DRAFT_TOKENS not in sides.differing and of[DRAFT_TOKENS].value is not None:
        setting.append(f"k={of[DRAFT_TOKENS].shown}")
    if SYNTHETIC not in sides.differing and of[SYNTHETIC].value is not None:
        setting.append(f"synthetic {of[SYNTHETIC].shown}")
    shown += [" ".join(setting)] if setting else []
    if DRAFT_MODEL in sides.key and of[DRAFT_MODEL].value is not None:
        shown.append(f"draft {of[DRAFT_MODEL].shown}")
    shown += [
        f"{name.removeprefix(OPTION)}={of[name].shown}"
        for name in sides.key
        if name.startswith(OPTION) and of[name].value is not None
    ]
    shown += [of[WORKLOAD].shown] if WORKLOAD not in sides.differing else []
    shown += [of[MAX_TOKENS].shown] if MAX_TOKENS in sides.key else []
    return PARTED.join(shown) or "all"


def _nothing_in_common(
    baseline: Side, candidate: Side, sides: Properties, unmatched: Sequence[str]
) -> str:
    """Why there is nothing to compare, as nearly as can be told."""
    lines = [f"{baseline.name} and {candidate.name} have no trial in common"]
    disjoint = [
        f"{name}: {before} against {after}" for name, before, after in islice(apart(sides), MOST)
    ]
    lines += [f"- {line}" for line in disjoint or unmatched[:MOST]]
    if not disjoint and len(unmatched) > MOST:
        lines.append(f"- and {counted(len(unmatched) - MOST, 'more trial')}")
    return "\n".join(lines)
