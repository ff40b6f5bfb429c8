"""Tunings of known landscapes: how often the best setting is found, and in what share of the time.

`python -m benchmarks.tuning` writes the table in docs/tune.md. Nothing is launched: the search of
`bench tune` gets readings that are drawn. A landscape is a machine (what a step costs by draft
length) and texts (how far a draft is right at each place); each of its seeds is another text and
another luck. Noise has heavy tails (Student's t of 4 degrees of freedom), and each launch has its
own luck.
"""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.tune.evidence import PLAIN, Evidence, Reading
from harness.tune.group import groups_of, hopeless
from harness.tune.recommend import recommended
from harness.tune.search import GRID_ROUNDS, Done, next_step
from harness.tune.space import Candidate, Space
from runners.base.contract import OptionValue

PAGE = Path(__file__).parent.parent / "docs" / "tune.md"
BEGIN, END = "<!-- make tuning: begin -->", "<!-- make tuning: end -->"

SEEDS = 10
AS_GOOD = 0.98
"""Of the best setting's true rate that a pick must reach."""
PLAIN_RATE = 50.0
START_S = 2.0
TOKENS = 256
PROMPTS = 4

Cost = Callable[[int], float]
"""Plain steps that a step takes, by its draft tokens."""


@dataclass(frozen=True)
class Family:
    """One way of drafting, at several lengths."""

    name: str
    alphas: Mapping[str, float]
    """Workload -> chance that the next drafted token is right, if those before it are."""
    cost: Cost
    lengths: tuple[int, ...] = tuple(range(1, 9))
    group: str = ""
    """Families of one drafter, whose luck on a text is the same …"""
    options: tuple[tuple[str, OptionValue], ...] = ()
    """… and what they differ in."""
    is_dead: bool = False
    """It drafts nothing."""


@dataclass(frozen=True)
class Landscape:
    """A machine and the texts on it."""

    name: str
    families: tuple[Family, ...]
    noise: float = 0.02
    """Of a request's rate."""
    luck: float = 0.01
    """Of a launch's."""


@dataclass(frozen=True)
class Result:
    """What came of one tuning."""

    is_good: bool
    """On every workload it picked a setting that is as good as the best."""
    share: float
    """Of the time that `GRID_ROUNDS` rounds of all settings take."""
    rounds: int


def _linear(row: float, start: float = 0.05) -> Cost:
    return lambda k: 1 + start + row * k


def _cliff(at: int, row: float = 0.08, factor: float = 6) -> Cost:
    return lambda k: (1.05 + row * k) * (factor if k >= at else 1)


def _stairs(height: float = 0.5, width: int = 4) -> Cost:
    return lambda k: 1.05 + height * math.ceil(k / width)


def _texts(coding: float = 0.8, prose: float = 0.5) -> dict[str, float]:
    return {"coding": coding, "prose": prose}


def _one(
    name: str, cost: Cost, texts: Mapping[str, float], noise: float = 0.02, luck: float = 0.01
) -> Landscape:
    return Landscape(name, (Family("mtp", texts, cost),), noise, luck)


LANDSCAPES = (
    _one("cheap rows", _linear(0.1), _texts()),
    _one("dear rows", _linear(0.35), _texts()),
    _one("very dear rows", _linear(0.75), _texts()),
    _one("a cliff at 4", _cliff(4), _texts()),
    _one("a cliff at 2", _cliff(2), _texts()),
    _one("a cliff at 6", _cliff(6), _texts(0.9, 0.8)),
    _one("a small cliff at 5", _cliff(5, factor=1.4), _texts(0.9, 0.7)),
    _one("rows that cost nothing", _linear(0.0, 0.3), _texts()),
    _one("stairs of 4 rows", _stairs(), _texts(0.85, 0.6)),
    Landscape("plain is best", (Family("draft", _texts(0.4, 0.3), _linear(0.5, 0.2)),)),
    Landscape(
        "plain is best of three families",
        (
            Family("draft", _texts(0.4, 0.3), _linear(0.5, 0.2)),
            Family("ngram", _texts(0.2, 0.05), _linear(0.3)),
            Family("mtp", _texts(0.5, 0.3), _linear(0.6)),
        ),
    ),
    Landscape(
        "two families",
        (
            Family("mtp", _texts(), _linear(0.15)),
            Family("draft", _texts(0.9, 0.75), _linear(0.3)),
        ),
    ),
    Landscape(
        "three families",
        (
            Family("mtp", _texts(), _linear(0.15)),
            Family("draft", _texts(0.9, 0.75), _linear(0.3)),
            Family("ngram", _texts(0.7, 0.1), _linear(0.05)),
        ),
    ),
    Landscape(
        "another family for each text",
        (
            Family("mtp", _texts(0.6, 0.7), _linear(0.1)),
            Family("ngram", _texts(0.85, 0.1), _linear(0.05)),
        ),
    ),
    _one("noise", _linear(0.1), _texts(), noise=0.06, luck=0.03),
    _one("noise and a cliff", _cliff(4), _texts(), noise=0.06, luck=0.03),
    _one("much noise", _linear(0.1), _texts(0.85, 0.8), noise=0.08, luck=0.04),
    _one("hardly better than plain", _linear(0.3, 0.1), _texts(0.35, 0.2)),
    Landscape(
        "four values of p-min",
        tuple(
            Family(
                f"p{p}",
                _texts(0.8 * (1 + 0.08 * p), 0.5 * (1 + 0.15 * p)),
                _linear(0.25 + 0.08 * p),
            )
            for p in range(4)
        ),
    ),
    Landscape(
        "long drafts",
        (Family("ngram", _texts(0.92, 0.3), _linear(0.06), tuple(range(2, 17, 2))),),
    ),
)


@dataclass(frozen=True)
class Decoded:
    """One prompt decoded with one setting: there is no noise in what is accepted."""

    tokens: int
    steps: int
    accepted: tuple[int, ...]
    """How often the draft's token 0, 1, … was."""


@dataclass
class World:
    """A landscape with one seed, in which a tuning measures."""

    landscape: Landscape
    seed: int
    readings: list[Reading] = field(default_factory=list)
    seconds: float = 0.0
    launched: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    """Settings that drafted nothing."""

    def __post_init__(self) -> None:
        self._draw = np.random.default_rng([self.seed, 0])
        self._settings = {
            f"{family.name}-k{k}": (family, k)
            for family in self.landscape.families
            for k in family.lengths
        }
        self._decoded: dict[tuple[str, str, int], Decoded] = {}
        self.workloads = tuple(self.landscape.families[0].alphas)
        self._hardness = {
            (workload, prompt): self._draw.normal(0, 0.1)
            for workload in self.workloads
            for prompt in range(PROMPTS)
        }

    @property
    def space(self) -> Space:
        """Without settings that have left, or would, as what was tried says."""
        everything = Space(
            tuple(
                Candidate(arm, family.name, k, family.group, family.options)
                for arm, (family, k) in self._settings.items()
            ),
            self.workloads,
        )
        if not self.left:
            return everything
        works = self.launched - self.left
        others = hopeless(groups_of(everything), self.left, works)
        return everything.without({*self.left, *others})

    def measure(self, arm: str, number: int) -> None:
        """One launch: all prompts of all workloads."""
        luck = self._draw.normal(0, self.landscape.luck)
        self.seconds += START_S
        self.launched.add(arm)
        if arm != PLAIN and self._settings[arm][0].is_dead:
            self.left.add(arm)
            self.seconds += len(self.workloads) * PROMPTS * TOKENS / PLAIN_RATE
            return
        for workload in self.workloads:
            for prompt in range(PROMPTS):
                noise = self.landscape.noise * self._draw.standard_t(4) / math.sqrt(2)
                found = self._decode(arm, workload, prompt)
                steady = PLAIN_RATE * found.tokens / found.steps / self._cost(arm)
                rate = steady * math.exp(self._hardness[workload, prompt] + luck + noise)
                self.seconds += found.tokens / rate
                self.readings.append(
                    Reading(
                        arm=arm,
                        round=number,
                        workload=workload,
                        prompt=str(prompt),
                        rate=rate,
                        tokens=found.tokens,
                        steps=found.steps,
                        accepted=found.accepted,
                    )
                )

    def speedup(self, arm: str, workload: str) -> float:
        """The true one over these prompts."""
        if arm != PLAIN and self._settings[arm][0].is_dead:
            return 1.0
        found = [self._decode(arm, workload, prompt) for prompt in range(PROMPTS)]
        return statistics.geometric_mean(d.tokens / d.steps for d in found) / self._cost(arm)

    def best(self, workload: str) -> float:
        return max(self.speedup(arm, workload) for arm in (PLAIN, *self._settings))

    def grid_s(self) -> float:
        """Seconds of all settings over `GRID_ROUNDS` rounds."""
        arms = (PLAIN, *self._settings)
        answers = sum(
            PROMPTS * TOKENS / (PLAIN_RATE * self.speedup(arm, workload))
            for arm in arms
            for workload in self.workloads
        )
        return GRID_ROUNDS * (START_S * len(arms) + answers)

    def _cost(self, arm: str) -> float:
        if arm == PLAIN:
            return 1.0
        family, k = self._settings[arm]
        return family.cost(k)

    def _decode(self, arm: str, workload: str, prompt: int) -> Decoded:
        """One text for all lengths: at each place so many further tokens would be guessed."""
        key = (arm, workload, prompt)
        if arm == PLAIN:
            return Decoded(TOKENS, TOKENS, ())
        if key not in self._decoded:
            family, k = self._settings[arm]
            name = zlib.crc32(f"{family.group or family.name}/{workload}/{prompt}".encode())
            draw = np.random.default_rng([self.seed, name])
            rates = family.alphas[workload] ** np.arange(1, max(family.lengths) + 1)
            right = (rates[None, :] > draw.random(TOKENS)[:, None]).sum(1)
            at = steps = 0
            accepted = [0] * k
            while at < TOKENS:
                taken = min(int(right[at]), k)
                for position in range(taken):
                    accepted[position] += 1
                at += taken + 1
                steps += 1
            self._decoded[key] = Decoded(at, steps, tuple(accepted))
        return self._decoded[key]


def tune(landscape: Landscape, seed: int) -> Result:
    """One tuning to its end."""
    world = World(landscape, seed)
    number = 0
    while not isinstance(step := next_step(world.space, Evidence(world.readings)), Done):
        number += 1
        for arm in (PLAIN, *step.arms):
            world.measure(arm, number)
    evidence = Evidence(world.readings)
    good = [
        world.speedup(recommended(world.space, evidence, pick), pick.workload)
        >= AS_GOOD * world.best(pick.workload)
        for pick in step.picks
    ]
    return Result(all(good), world.seconds / world.grid_s(), number)


def run(
    landscapes: Sequence[Landscape] = LANDSCAPES, seeds: int = SEEDS
) -> Iterator[tuple[Landscape, list[Result]]]:
    """Every landscape with its tunings."""
    for number, landscape in enumerate(landscapes):
        yield landscape, [tune(landscape, 1000 * number + seed) for seed in range(seeds)]


def table(found: Iterable[tuple[Landscape, Sequence[Result]]]) -> str:
    """As Markdown, with all landscapes together in the last row."""
    rows = [("landscape", "settings", "as good as the best", "rounds", "time"), ("---",) * 5]
    everything: list[Result] = []
    for landscape, results in found:
        settings = sum(len(family.lengths) for family in landscape.families)
        rows.append(_row(landscape.name, str(settings), results))
        everything += results
    rows.append(_row("**all**", "", everything))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(name: str, settings: str, results: Sequence[Result]) -> tuple[str, ...]:
    return (
        name,
        settings,
        f"{sum(result.is_good for result in results)} of {len(results)}",
        f"{statistics.fmean(result.rounds for result in results):.1f}",
        f"{statistics.fmean(result.share for result in results):.0%}",
    )


def with_table(page: str, text: str, begin: str = BEGIN, end: str = END) -> str:
    """The page with the text between two marks."""
    head, rest = page.split(begin)
    _, tail = rest.split(end)
    return f"{head}{begin}\n{text}\n{end}{tail}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8"), table(run())), encoding="utf-8")
