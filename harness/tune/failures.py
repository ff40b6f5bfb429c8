"""Which failed requests speak against a setting: one alone may be a busy machine's fault."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from harness.records import Sample

MOST_FAILED = 0.1
"""Share of a setting's requests that may fail, though in more than one round, and it stays."""
LEAST_AGAIN = 2
"""Failures before which nobody knows whether they will come again."""


def told(ok: Collection[Sample], failed: Sequence[Sample]) -> str:
    """'1 of 24 requests failed: it timed out', with the first one's reason."""
    return f"{len(failed)} of {len(ok) + len(failed)} requests failed: {failed[0].reason}"


def is_broken(ok: Collection[Sample], failed: Collection[Sample]) -> bool:
    """Whether requests fail by the setting rather than by chance.

    So where several failed and the others of their round as well, where a prompt failed in two
    rounds and was never answered, and where requests failed in two rounds and are more than
    `MOST_FAILED` of all.
    """
    if len(failed) < LEAST_AGAIN:
        return False
    answered = {sample.round for sample in ok}
    for number in {sample.round for sample in failed} - answered:
        if sum(sample.round == number for sample in failed) >= LEAST_AGAIN:
            return True
    never = {_prompt(sample) for sample in failed} - {_prompt(sample) for sample in ok}
    for prompt in never:
        if len({sample.round for sample in failed if _prompt(sample) == prompt}) >= LEAST_AGAIN:
            return True
    rounds = {sample.round for sample in failed}
    share = len(failed) / (len(ok) + len(failed))
    return len(rounds) >= LEAST_AGAIN and share > MOST_FAILED


def _prompt(sample: Sample) -> tuple[str, str]:
    return sample.workload, sample.prompt
