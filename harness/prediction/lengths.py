"""Tokens a step of every draft length, from how the longest drafts that were measured fared.

A step of long drafts that accepted j tokens says two things of a shorter draft of k tokens:

- *cut*: this step alone would have accepted min(j, k) of them. By positions it is 1 + the sum of
  the rates 1 to k (`harness.theory.acceptance.tau_of_rates`). It counts each step once, though
  with short drafts an easy stretch of text takes several steps, so that it is rather too low.
- *replayed*: its j + 1 tokens would have taken ceil((j + 1) / (k + 1)) shorter steps. It counts
  easy stretches as often as they come, but takes a draft begun anew to be no better than the end
  of the long one, so that it is rather too low for drafters that grow worse along a draft. A step
  that accepted everything goes on in the next one and is taken for (K + 1) / (k + 1) steps.

Where every token is accepted with the same chance both are the same; the larger of the two is
taken. Neither falls with k, and at the longest length both are what was measured.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from harness.analysis.statistics import CONFIDENCE, SEED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

RESAMPLES = 2000
RULE_OF_THREE = 3
ROUNDING = 1e-6
"""By which a share may miss 0 when shares are made of counts."""


@dataclass(frozen=True)
class Drafts:
    """The decode steps of one sample."""

    prompt: str
    steps: tuple[float, ...]
    """How many of them accepted 0, 1, …, K draft tokens."""
    drafted: float
    """Tokens drafted in all of them."""


@dataclass(frozen=True)
class Lengths:
    """Of k = 1, 2, …, K: one entry each."""

    taus: tuple[float, ...]
    """Tokens a step."""
    drafted: tuple[float, ...]
    """Tokens drafted a step: below k where a drafter stops early or a lookup finds nothing."""
    draws: Array
    """(draw, k): the taus that other prompts and rounds of the same kind could have given."""


def steps_by_accepted(shares: Sequence[float], steps: float, longest: int) -> tuple[float, ...]:
    """How many of `steps` accepted 0, 1, …, `longest` tokens, from the shares by position.

    Raises:
        ValueError: shares that rise, leave 0 to 1, or are more than `longest`.
    """
    if len(shares) > longest:
        raise ValueError(f"{len(shares)} positions in drafts of {longest} tokens")
    ends = [1.0, *shares, *[0.0] * (longest - len(shares) + 1)]
    found = [before - after for before, after in itertools.pairwise(ends)]
    if min(found) < -ROUNDING:
        raise ValueError("accepted tokens by position rise, or are more than the steps")
    return tuple(max(0.0, share) * steps for share in found)


def lengths_of(samples: Sequence[Drafts]) -> Lengths:
    """What the drafts of one arm on one workload say of all shorter ones.

    The draws are a bootstrap (Efron 1979) of two floors: prompts are drawn, and of each drawn
    prompt its rounds, with a fixed seed. Few prompts differ less among themselves than the texts
    that they stand for: their distances from the estimate are widened as Student's t has it (by
    18 for two prompts, 1.9 for four). One prompt says nothing of how texts differ: half of the
    draws then accept nothing, and half of them everything. Where n prompts accepted nothing, up to
    3 / n of all texts may still accept everything (the rule of three: Hanley and Lippman-Hand
    1983, JAMA 249:13), and half of the draws have it so.

    `samples` are at least one.

    Raises:
        ValueError: no steps in any of them.
    """
    import numpy as np  # noqa: PLC0415

    prompts: dict[str, list[Drafts]] = defaultdict(list)
    for sample in samples:
        prompts[sample.prompt].append(sample)
    cells = [np.asarray([one.steps for one in own]) for own in prompts.values()]
    total = np.sum([cell.sum(axis=0) for cell in cells], axis=0)
    if total.sum() <= 0:
        raise ValueError("no decode steps")
    taus = tau_curve(total)
    longest = len(taus)
    drafted_a_step = sum(sample.drafted for sample in samples) / float(total.sum())
    most = np.arange(2.0, longest + 2)
    if len(cells) > 1 and total[1:].any():
        draws = taus * (tau_curve(_resampled(cells)) / taus) ** _widening(len(cells))
    else:
        unseen = min(1.0, RULE_OF_THREE / len(cells))
        draws = np.repeat([np.ones(longest), 1 + unseen * (most - 1)], RESAMPLES // 2, axis=0)
    return Lengths(
        taus=tuple(map(float, taus)),
        drafted=tuple(
            _drafted(k, float(taus[k - 1]), longest, float(taus[-1]), drafted_a_step)
            for k in range(1, longest + 1)
        ),
        draws=np.clip(draws, 1, most),
    )


def tau_curve(steps: Array) -> Array:
    """(…, K + 1) steps by accepted tokens -> (…, K) tokens a step of k = 1, …, K."""
    import numpy as np  # noqa: PLC0415

    longest = steps.shape[-1] - 1
    accepted = np.arange(longest + 1)[:, None]
    k = np.arange(1, longest + 1)[None, :]
    cut = steps @ (np.minimum(accepted, k) + 1.0) / steps.sum(axis=-1, keepdims=True)
    shorter = np.ceil((accepted + 1) / (k + 1))
    shorter[longest] = (longest + 1) / (k[0] + 1)
    replayed = steps @ (accepted + np.ones_like(k)) / (steps @ shorter)
    # Sums round: what cannot fall may otherwise do so by a last digit.
    found: Array = np.maximum.accumulate(np.clip(np.maximum(cut, replayed), 1, k[0] + 1.0), axis=-1)
    return found


def _drafted(k: int, tau: float, longest: int, longest_tau: float, drafted: float) -> float:
    """Tokens drafted a step: the accepted ones, and of the others as many as a shorter draft has.

    A rejection ends a draft and wastes what is left of it; there are as many rejections in the
    same text, and each wastes as much less as the draft is shorter.
    """
    wasted = max(0.0, drafted - (longest_tau - 1))
    found = tau - 1 + wasted * tau / longest_tau * k / longest
    return min(max(found, tau - 1), float(k))


def _resampled(cells: Sequence[Array]) -> Array:
    """(draw, K + 1) steps; `cells` has an array (round, K + 1) for each prompt."""
    import numpy as np  # noqa: PLC0415

    rng = np.random.default_rng(SEED)
    count = len(cells)
    chosen = rng.multinomial(count, [1 / count] * count, size=RESAMPLES)
    found = np.zeros((RESAMPLES, cells[0].shape[1]))
    for index, cell in enumerate(cells):
        rounds = len(cell)
        found += rng.multinomial(chosen[:, index] * rounds, [1 / rounds] * rounds) @ cell
    # Prompts without a step may be all that was drawn.
    some: Array = found[found.sum(axis=1) > 0]
    return some


def _widening(prompts: int) -> float:
    from scipy import stats  # noqa: PLC0415

    tail = (1 + CONFIDENCE) / 2
    student, normal = float(stats.t.ppf(tail, prompts - 1)), float(stats.norm.ppf(tail))
    return student / normal * math.sqrt(prompts / (prompts - 1))
