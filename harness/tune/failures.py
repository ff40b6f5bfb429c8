"""Which failed requests speak against a setting: one alone may be a busy machine's fault."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.records import Sample

MOST_FAILED = 0.1
"""Share of its requests that a setting may fail, beyond plain decoding's share, and stay."""
LEAST_AGAIN = 2
"""Failures before which nobody knows whether they will come again."""


@dataclass(frozen=True)
class Requests:
    """Those of one setting so far."""

    ok: Collection[Sample]
    failed: Sequence[Sample]

    @property
    def told(self) -> str | None:
        """'1 of 24 requests failed: it timed out', with the first one's reason; None: none did."""
        if not self.failed:
            return None
        return f"{len(self.failed)} of {self._count} requests failed: {self.failed[0].reason}"

    @property
    def share(self) -> float:
        """Of its requests that failed."""
        return len(self.failed) / self._count if self.failed else 0.0

    @property
    def rounds(self) -> set[int]:
        """In which something was answered."""
        return {sample.round for sample in self.ok}

    @property
    def prompts(self) -> set[tuple[str, str]]:
        """That were answered."""
        return set(map(_prompt, self.ok))

    @property
    def _count(self) -> int:
        return len(self.ok) + len(self.failed)


def is_broken(own: Requests, plain: Requests) -> bool:
    """Whether requests fail by the setting, and neither by chance nor by the machine.

    So where several failed and the others of their round as well, though not plain decoding's;
    where a prompt that plain decoding has answered failed in two rounds and was never answered; and
    where requests failed in two rounds, by more than `MOST_FAILED` oftener than plain decoding's.
    """
    if len(own.failed) < LEAST_AGAIN:
        return False
    failed = [(sample.round, _prompt(sample)) for sample in own.failed]
    for number in plain.rounds - own.rounds:
        if sum(begun == number for begun, _ in failed) >= LEAST_AGAIN:
            return True
    for prompt in plain.prompts - own.prompts:
        if len({begun for begun, asked in failed if asked == prompt}) >= LEAST_AGAIN:
            return True
    again = len({begun for begun, _ in failed}) >= LEAST_AGAIN
    return again and own.share - plain.share > MOST_FAILED


def _prompt(sample: Sample) -> tuple[str, str]:
    return sample.workload, sample.prompt
