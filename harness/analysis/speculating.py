"""How drafts fared: acceptance rate, acceptance length, drafts a step, acceptance by position."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.measured import AnySample


@dataclass(frozen=True)
class Speculating:
    """How the drafts of some samples fared, added up over all of their steps but where it is said
    to be a mean over requests."""

    acceptance_rate: float | None = None
    """accepted / drafted."""
    acceptance_length: float | None = None
    """Tokens a decode step: the step that ended the prefill, and its token, are left out."""
    acceptance_rate_of_requests: float | None = None
    """Mean over the requests that drafted anything of each one's accepted / drafted: a long answer
    counts no more than a short one."""
    acceptance_length_of_requests: float | None = None
    """Mean over the requests of each one's tokens a decode step."""
    drafted_per_step: float | None = None
    accepted_per_position: tuple[float, ...] | None = None
    """Share of the decode steps in which the draft's token 0, 1, … was accepted."""

    @property
    def found_nothing(self) -> bool:
        """Nothing was drafted: text that never repeats itself gives n-grams nothing to find."""
        return self.drafted_per_step == 0


def speculating_of(samples: Sequence[AnySample], longest: int | None = None) -> Speculating:
    """Add up what the samples of one trial tell; what none of them tells is None.

    `longest` is the most that one step drafts; None where that is not known.
    """
    in_prefill = _drafts_in_prefill(samples, longest)
    with_drafts = [
        (s.accepted, s.drafted) for s in samples if s.accepted is not None and s.drafted is not None
    ]
    with_steps = [
        # Where the first burst's count is a share, the step that ended the prefill yielded one.
        (s.output_tokens - (1 if s.first_burst_at_most else s.first_burst_tokens), s.steps)
        for s in samples
        if s.output_tokens is not None and s.first_burst_tokens is not None and s.steps is not None
    ]
    with_both = [
        (s.drafted, _drafting_steps(s, in_prefill=in_prefill))
        for s in samples
        if s.drafted is not None and s.steps is not None
    ]
    with_positions = [
        (s.accepted_per_position, _drafting_steps(s, in_prefill=in_prefill))
        for s in samples
        if s.accepted_per_position is not None and s.steps is not None
    ]
    return Speculating(
        acceptance_rate=_share(
            sum(accepted for accepted, _ in with_drafts), sum(drafted for _, drafted in with_drafts)
        ),
        acceptance_length=_share(
            sum(tokens for tokens, _ in with_steps), sum(steps - 1 for _, steps in with_steps)
        ),
        acceptance_rate_of_requests=_mean_share(with_drafts),
        acceptance_length_of_requests=_mean_share(
            [(tokens, steps - 1) for tokens, steps in with_steps]
        ),
        drafted_per_step=_share(
            sum(drafted for drafted, _ in with_both), sum(steps for _, steps in with_both)
        ),
        accepted_per_position=_positions(
            [positions for positions, _ in with_positions],
            sum(steps for _, steps in with_positions),
        ),
    )


def _drafts_in_prefill(samples: Sequence[AnySample], longest: int | None) -> bool:
    """Whether the step that ends the prefill drafts too, as in mlx-lm.

    Its other steps alone cannot have drafted so much, and all of them can. Where even all cannot,
    `longest` is not what bounds a draft, and says nothing.
    """
    return longest is not None and any(
        longest * (s.steps - 1) < s.drafted <= longest * s.steps
        for s in samples
        if s.drafted is not None and s.steps is not None
    )


def _drafting_steps(sample: AnySample, *, in_prefill: bool) -> int:
    """Steps that could draft: the one that ends the prefill only if that is known to draft, or if
    it yielded several tokens."""
    drafts = in_prefill or (not sample.first_burst_at_most and (sample.first_burst_tokens or 1) > 1)
    return (sample.steps or 0) - (0 if drafts else 1)


def _positions(counts: Sequence[tuple[int, ...]], steps: int) -> tuple[float, ...] | None:
    if steps <= 0:
        return None
    width = max(map(len, counts))
    return tuple(
        sum(count[position] for count in counts if position < len(count)) / steps
        for position in range(width)
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole > 0 else None


def _mean_share(parts: Sequence[tuple[int, int]]) -> float | None:
    """The mean of part / whole over those that have a whole."""
    shares = [part / whole for part, whole in parts if whole > 0]
    return math.fsum(shares) / len(shares) if shares else None
