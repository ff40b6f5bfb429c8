"""What a runner is to the rest of the project: find it, launch it, stream from it, stop it.

Everything here is data or a protocol. A runner never hides what it does not know: what is not
exposed is `None` beside a reason, never 0.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from runners.base.packaging import Packaging
from runners.base.speculation import PLAIN_DECODING, Speculation
from runners.base.support import MethodSupport

OptionValue = str | int | float | bool


# ---- errors --------------------------------------------------------------------------------


class RunnerError(Exception):
    """A runner could not do what was asked; the text says why, in words for the user."""


class UsageError(RunnerError):
    """The request itself is wrong (an unknown option, a bad value): nothing was started."""


class StartError(RunnerError):
    """The runner did not become ready. `log_tail` holds the last lines it wrote."""

    def __init__(self, reason: str, log_tail: str = "") -> None:
        super().__init__(reason)
        self.log_tail = log_tail


class RequestError(RunnerError):
    """One request failed.

    `server_lost` tells that the runner can take no further request, `status` the HTTP status of a
    refusal.
    """

    def __init__(
        self, reason: str, *, server_lost: bool = False, status: int | None = None
    ) -> None:
        super().__init__(reason)
        self.server_lost = server_lost
        self.status = status


# ---- what a runner can do on this machine ----------------------------------------------------


@dataclass(frozen=True)
class Found:
    """A runner that is installed here."""

    version: str
    where: str
    methods: tuple[MethodSupport, ...]
    acceptance_source: str
    """Where drafted, accepted and steps come from, e.g. '/metrics counters'."""
    devices: tuple[str, ...] = ()
    starting_s: float = 1.0
    """About how long a start takes beyond reading the model's files."""


@dataclass(frozen=True)
class Missing:
    """A runner that is not installed here, and what to do about it."""

    reason: str
    advice: str

    @property
    def error(self) -> UsageError:
        """For whoever cannot do without the runner."""
        return UsageError(f"{self.reason}; {self.advice}")


# ---- one launch ------------------------------------------------------------------------------


@dataclass(frozen=True)
class LaunchSpec:
    """One configuration of one runner; nothing in it can change without a restart."""

    model: Path | None
    speculation: Speculation = PLAIN_DECODING
    options: tuple[tuple[str, OptionValue], ...] = ()
    """The runner's own options by the runner's own names, e.g. ('cache-type-k', 'q8_0')."""
    context: int = 4096
    """Tokens of context that a request must find room in; an option of the runner overrides it."""
    seed: int = 0


@dataclass(frozen=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True)
class Request:
    """One generation. `temperature` 0 is greedy."""

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    timeout_s: float = 300.0
    """Limit for the whole request; beyond it the runner counts as hanging."""


@dataclass(frozen=True)
class Burst:
    """The tokens of one step of the runner, as they reached the client.

    `at` is the arrival of the first of them, in seconds of `time.perf_counter`, taken when the
    bytes came in and before anything was parsed.
    """

    at: float
    tokens: int
    text: str
    token_ids: tuple[int, ...] | None = None
    """None where the runner does not expose token ids."""


@dataclass(frozen=True)
class Completion:
    """What the runner itself says of a finished request. None: it does not say."""

    sent_at: float
    """When the request was sent, on the clock of `Burst.at`."""
    output_tokens: int | None
    finish_reason: str | None
    """'stop' (end of text) or 'length' (max_tokens reached)."""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    prefill_s: float | None = None
    decode_s: float | None = None
    decode_rate: float | None = None
    """Tokens per second by the runner's own clock."""
    drafted: int | None = None
    accepted: int | None = None
    steps: int | None = None
    """Forward passes of the target that yielded tokens, the prefill's last one included."""
    peak_memory: int | None = None
    """Bytes that the runner's own allocator held at most during the request."""
    first_burst_at_most: int | None = None
    """The most tokens that the first burst may hold, where the runner tells how many tokens there
    were in all but not in which chunk: `Burst.tokens` are then shares. None: they are told."""


@dataclass(frozen=True)
class Counters:
    """Totals since the launch; subtract two readings to get what one request cost."""

    drafted: int | None
    """None: the runner counts only what was accepted."""
    accepted: int
    steps: int
    """Forward passes of the target that yielded tokens, the prefill's last one included."""
    accepted_per_position: tuple[int, ...] | None = ()
    """How often the draft's token at position 0, 1, … was accepted; None: it does not count by
    position."""

    def since(self, before: Counters) -> Counters:
        """The counts between `before` and this reading."""
        drafted = None
        if self.drafted is not None and before.drafted is not None:
            drafted = self.drafted - before.drafted
        positions = None
        if self.accepted_per_position is not None and before.accepted_per_position is not None:
            pairs = itertools.zip_longest(
                self.accepted_per_position, before.accepted_per_position, fillvalue=0
            )
            positions = tuple(now - then for now, then in pairs)
        return Counters(
            drafted=drafted,
            accepted=self.accepted - before.accepted,
            steps=self.steps - before.steps,
            accepted_per_position=positions,
        )


@dataclass(frozen=True)
class NextToken:
    """One of the tokens that a model finds most likely at some place."""

    token: int
    logprob: float
    """Natural logarithm of its probability over the whole vocabulary, before any sampling."""


@dataclass(frozen=True)
class Review:
    """What a runner's own records say of a launch's speculation, once its requests are done."""

    remark: str | None = None
    """What its log says of the drafts, in its own words: the reason why there were none."""
    disagreement: str | None = None
    """Sources that must agree and do not (counters, log, responses), with both figures."""
    draft_limit: int | None = None
    """The longest draft that the runner itself says it makes; None: it does not say."""
    slots: int | None = None
    """Requests that the server has room for at once; None: it does not say."""


class Server(Protocol):
    """A launch that is up and has answered a probe request."""

    @property
    def pid(self) -> int | None:
        """The root of the runner's process tree; None where it runs on another machine, or is
        nobody's to look at."""

    def stream(self, request: Request) -> AsyncIterator[Burst | Completion]:
        """Bursts as they arrive, then exactly one `Completion`.

        Raises:
            RequestError: the runner refused, broke off, or died.
        """

    async def counters(self) -> Counters | None:
        """Totals of speculation so far; None where the runner exposes none.

        Raises:
            RequestError: the runner did not answer.
        """

    async def next_tokens(
        self, request: Request, written: Sequence[int], count: int
    ) -> tuple[NextToken, ...] | None:
        """The `count` likeliest tokens after the prompt and the tokens `written` so far.

        Likeliest first; None where the runner does not expose them. For launches without
        speculation.

        Raises:
            RequestError: the runner did not answer.
        """

    async def review(self) -> Review:
        """Hold the runner's records of its speculation against each other. Never fails."""

    async def stop(self) -> None:
        """End the runner and every process it started. Safe to call twice."""


class Runner(Protocol):
    """One way of serving a model."""

    @property
    def name(self) -> str: ...

    @property
    def packagings(self) -> tuple[Packaging, ...]:
        """The packagings of a model that it reads, best first.

        None at all only for a runner that reads no files: one that invents its answers (the
        mock), or that is attached to a server.
        """

    @property
    def attached(self) -> bool:
        """Whether it only talks to a server that somebody else has started: its one way of
        decoding is 'as-served', and nothing about it can be chosen."""

    def find(self) -> Found | Missing:
        """What is installed here. Must not start anything heavy."""

    def check(self, spec: LaunchSpec) -> None:
        """Look at a launch before it is tried.

        Raises:
            UsageError: an option, a value or the method does not exist in this runner.
        """

    def canonical(self, option: str) -> str:
        """The one name of an option that goes by several: short, long, with dashes in front."""

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        """Options without which some of these draft lengths would silently draft nothing.

        They hold for the whole sweep of `draft_tokens`, so that only the length differs in it, and
        the user's own values win over them.
        """

    def applies(self, option: str, method: str) -> bool:
        """Whether an option means anything to launches of this method ('none': plain decoding).

        Arms leave out the options that do not apply to them, so that sweeping a draft's p-min
        does not launch plain decoding once for every value.
        """

    def reproduce(self, spec: LaunchSpec) -> str:
        """The command line or code that starts this very launch, to paste."""

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> Server:
        """Launch and wait until a probe request was answered. `log` gets the runner's output.

        Raises:
            UsageError: as `check`.
            StartError: it ended, hung, or serves something else than was asked for.
        """
