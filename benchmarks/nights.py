"""How often does a gate call a night regressed that is not, and how often does it find one that is?

    python -m benchmarks.nights [NIGHTS]

Draws nights of `bench ab` over noise like that of a shared 2-core cloud VM, has the gate decide on
each, and writes docs/gate.md's table between its marks. Every night is judged by the code that
judges a real run. Seeded; 2,000 nights of each kind take some minutes.

The noise was measured with the demo model, answers of 64 tokens on both threads, one build against
itself over 16 rounds of 2 x 4 requests: decode rates of one prompt differ by 10.3% over the whole
run, from one request to the next by 9.0%, and the ratio of two launches over four prompts by 7.6%
from round to round; the machine slowed by 18% meanwhile. `MEASURED` draws such nights (9.9%, 9.3%,
7.6%), and adds what five minutes did not show: tails of Student's t, and a neighbour who takes a
third of the machine now and then. The time to the first token is drawn alike and judged beside it.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.ab import LEAST_ROUNDS
from harness.analysis.effect import Values, effect
from harness.gate.decide import (
    THRESHOLD,
    Decision,
    decide,
    decide_night,
    overall,
    share,
    sight,
)
from harness.suite import MOST_FOR_THRESHOLD as MOST_ROUNDS

WORKLOADS = 2
PROMPTS = 4
"""Of each workload: what a sweep measures when it is not told."""
BETWEEN = 3.0
"""Requests that a new launch takes the time of."""
PAGE = Path(__file__).parent.parent / "docs" / "gate.md"
BEGIN, END = "<!-- nights -->\n", "<!-- end of nights -->"


@dataclass(frozen=True)
class Noise:
    """What slows requests, as shares of the decode rate (standard deviations of its logarithm)."""

    request: float
    """From request to request."""
    tails: float
    """Degrees of freedom of the Student's t that requests are drawn from."""
    luck: float
    """From launch to launch."""
    drift: float
    """Of what wanders slowly …"""
    drift_requests: float
    """… and is forgotten after so many requests (it falls to 1/e)."""
    trend: float
    """Lost from the first request of the night to the last of `MOST_ROUNDS` rounds."""
    bursts: float
    """Share of requests at which a noisy neighbour comes …"""
    burst_requests: float
    """… stays for so many, on average …"""
    burst_loss: float
    """… and takes this share of the rate, give or take a half of it."""

    def scaled(self, factor: float) -> Noise:
        """As much of everything, with the same tails and times."""
        kept = {"tails", "drift_requests", "burst_requests"}
        return replace(
            self, **{name: factor * value for name, value in vars(self).items() if name not in kept}
        )


MEASURED = Noise(
    request=0.056,
    tails=4,
    luck=0.02,
    drift=0.055,
    drift_requests=30,
    trend=0.3,
    bursts=0.003,
    burst_requests=6,
    burst_loss=0.35,
)

BETWEEN_NIGHTS = 0.06
"""By how much two nights differ as a whole: what two runs of the demo model did, twelve hours apart
on the same kind of machine, with the same files and settings."""

NOISES = (
    ("a tenth of it", 0.1),
    ("a quarter", 0.25),
    ("a half", 0.5),
    ("as measured", 1.0),
    ("twice", 2.0),
)

Night = NDArray[np.float64]
"""Rates: round x side x workload x prompt."""


def draw(noise: Noise, rounds: int, change: float, chance: np.random.Generator) -> Night:
    """One night of `bench ab`: launch by launch, each second round in reversed order."""
    answers = WORKLOADS * PROMPTS
    shape = (rounds, 2, answers)
    each = answers + BETWEEN
    launches = np.arange(rounds * 2, dtype=np.float64).reshape(rounds, 2, 1)
    at = launches * each + np.arange(answers)
    total = MOST_ROUNDS * 2 * each
    logs = -noise.trend * at / total
    # Student's t has a variance of tails / (tails - 2).
    logs += noise.request * np.sqrt(1 - 2 / noise.tails) * chance.standard_t(noise.tails, shape)
    logs += noise.luck * chance.standard_normal((rounds, 2, 1))
    logs += _wander(noise, at.ravel(), chance).reshape(shape)
    logs += _bursts(noise, at.ravel(), chance).reshape(shape)
    first = chance.integers(2, size=(rounds + 1) // 2)
    order = np.stack([first, 1 - first], axis=1).ravel()[:rounds]
    # By side in place of by turn: where the candidate began, the turns are exchanged.
    logs = np.where(order[:, None, None] == 0, logs, logs[:, ::-1])
    logs[:, 1] += np.log1p(change)
    return 50.0 * np.exp(logs.reshape(rounds, 2, WORKLOADS, PROMPTS))


def _wander(noise: Noise, at: NDArray[np.float64], chance: np.random.Generator) -> Night:
    """An Ornstein-Uhlenbeck process at these times."""
    steps = chance.standard_normal(at.size)
    kept = np.exp(-np.diff(at, prepend=at[0]) / noise.drift_requests)
    found = np.empty(at.size)
    here = steps[0]
    for n in range(at.size):
        if n:
            here = kept[n] * here + np.sqrt(1 - kept[n] ** 2) * steps[n]
        found[n] = here
    return noise.drift * found


def _bursts(noise: Noise, at: NDArray[np.float64], chance: np.random.Generator) -> Night:
    last = at[-1] + 1
    found = np.zeros(at.size)
    for begin in chance.uniform(0, last, chance.poisson(noise.bursts * last)):
        end = begin + chance.exponential(noise.burst_requests)
        loss = min(0.9, noise.burst_loss * chance.uniform(0.5, 1.5))
        found[(at >= begin) & (at < end)] = np.log1p(-loss)
    return found


def trials_of(night: Night, rounds: int) -> list[tuple[Values, Values]]:
    """The first rounds as the gate takes them: (baseline, candidate) of each workload."""

    def values(side: int, workload: int) -> Values:
        return {
            number + 1: {
                f"p{prompt}": float(night[number, side, workload, prompt])
                for prompt in range(PROMPTS)
            }
            for number in range(rounds)
        }

    return [(values(0, workload), values(1, workload)) for workload in range(WORKLOADS)]


def rounds_of(night: Night) -> int:
    """How many rounds `bench ab` would have measured of it by default."""
    for rounds in range(LEAST_ROUNDS, len(night)):
        if all(_is_met(*trial) for trial in trials_of(night, rounds)):
            return rounds
    return len(night)


def _is_met(baseline: Values, candidate: Values) -> bool:
    found = effect(baseline, candidate, paired=True)
    needed = sight(found, THRESHOLD, share(WORKLOADS)).rounds
    return found is not None and needed is not None and needed <= found.rounds


def judged(
    decode_rates: list[tuple[Values, Values]], first_tokens: list[tuple[Values, Values]]
) -> Decision:
    """What the gate says of a night's decode rates and times to the first token."""
    rate = share(len(first_tokens))
    return overall(
        [decide_night(decode_rates, paired=True, threshold=THRESHOLD)],
        [
            decide(effect(*trial, paired=True), THRESHOLD, rate, higher_is_worse=True).decision
            for trial in first_tokens
        ],
    )


@dataclass(frozen=True)
class Tally:
    """What became of nights of one kind."""

    nights: int
    regressed: int
    inconclusive: int
    rounds: float
    """On average."""


def tally(noise: Noise, nights: int, change: float, rounds: int | None = None) -> Tally:
    """Draw and judge so many nights; `rounds` None: as many as `bench ab` takes by default."""
    chance = np.random.default_rng(zlib.crc32(f"{noise} {change} {rounds}".encode()))
    found: list[Decision] = []
    taken = 0
    for _ in range(nights):
        night = draw(noise, rounds or MOST_ROUNDS, change, chance)
        used = rounds or rounds_of(night)
        taken += used
        first_tokens = 1 / draw(noise, used, 0.0, chance)
        found.append(judged(trials_of(night, used), trials_of(first_tokens, used)))
    return Tally(
        nights, found.count(Decision.REGRESSED), found.count(Decision.INCONCLUSIVE), taken / nights
    )


def tally_apart(noise: Noise, nights: int, change: float, rounds: int) -> Tally:
    """The same where the baseline is last night's, and nights differ by `BETWEEN_NIGHTS`."""
    chance = np.random.default_rng(zlib.crc32(f"apart {noise} {change} {rounds}".encode()))
    found: list[Decision] = []
    for _ in range(nights):
        before = trials_of(draw(noise, rounds, 0.0, chance), rounds)
        level = np.expm1(np.log1p(change) + BETWEEN_NIGHTS * chance.standard_normal())
        after = trials_of(draw(noise, rounds, float(level), chance), rounds)
        night = [(old, new) for (old, _), (_, new) in zip(before, after, strict=True)]
        found.append(decide_night(night, paired=False, threshold=THRESHOLD))
    return Tally(
        nights, found.count(Decision.REGRESSED), found.count(Decision.INCONCLUSIVE), float(rounds)
    )


def table(nights: int) -> str:
    """Every kind of night as a Markdown table."""
    lines = [
        "| noise | rounds | no change: called regressed | inconclusive | "
        f"{2 * THRESHOLD:.0%} slower: called regressed | inconclusive |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, factor in NOISES:
        noise = MEASURED.scaled(factor)
        for rounds in (None, 3, 6, 12, 24, 40):
            kinds = [tally(noise, nights, change, rounds) for change in (0.0, -2 * THRESHOLD)]
            taken = str(rounds) if rounds else f"default ({kinds[0].rounds:.0f} on average)"
            lines.append(_line(f"{name}", taken, kinds))
    for rounds in (12, 40):
        kinds = [tally_apart(MEASURED, nights, change, rounds) for change in (0.0, -2 * THRESHOLD)]
        lines.append(_line("as measured, two nights", str(rounds), kinds))
    return "\n".join(lines)


def _line(noise: str, rounds: str, kinds: Sequence[Tally]) -> str:
    cells = [noise, rounds]
    for one in kinds:
        cells += [f"{one.regressed / one.nights:.1%}", f"{one.inconclusive / one.nights:.1%}"]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str]) -> None:
    nights = int(arguments[0]) if arguments else 2000
    found = f"{table(nights)}\n"
    print(found)
    text = PAGE.read_text("utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    PAGE.write_text(f"{text[:begin]}\n{found}\n{text[end:]}", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
