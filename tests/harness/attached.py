"""A runner that is attached to a server that already runs: the mock, of which it tells little."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runners.base.contract import (
    Burst,
    Completion,
    Counters,
    Found,
    LaunchSpec,
    NextToken,
    OptionValue,
    Request,
    RequestError,
    Review,
    Server,
    StartError,
    UsageError,
)
from runners.base.packaging import Packaging
from runners.base.speculation import AS_SERVED, PLAIN_DECODING, Speculation
from runners.base.support import MethodSupport
from runners.mock import MockRunner

REMARK = "the server says that it speculates by NGRAM"


@dataclass
class Attached:
    """Behind it a mock decodes as `speculation` says, and nobody can tell it otherwise."""

    name: str = "endpoint"
    packagings: tuple[Packaging, ...] = ()
    attached: bool = True
    speculation: Speculation = PLAIN_DECODING
    first_burst_at_most: int | None = None
    ends_after: int | None = None
    """Requests of all visits, after which the server is gone."""
    refuses: int | None = None
    """Which request it refuses, from 0; it answers the others."""
    answered: int = 0
    visits: int = 0

    def find(self) -> Found:
        methods = (MethodSupport(AS_SERVED, supported=True),)
        return Found("mock 1", "http://localhost:8000/v1", methods, "not exposed")

    def check(self, spec: LaunchSpec) -> None:
        if spec.speculation.method != AS_SERVED or spec.model is not None:
            raise UsageError("a server that already runs cannot be told how to decode")
        for name, _ in spec.options:
            if name not in ("model", "step-ms"):
                raise UsageError(f"no field {name!r}")

    def canonical(self, option: str) -> str:
        return option

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        return ()

    def applies(self, option: str, method: str) -> bool:
        return True

    def reproduce(self, spec: LaunchSpec) -> str:
        return "curl http://localhost:8000/v1/chat/completions"

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> Server:
        self.check(spec)
        self.visits += 1
        if self.is_gone:
            raise StartError("no connection to localhost:8000")
        options = (("step-ms", 10.0), ("prefill-ms", 1.0))
        launched = replace(spec, speculation=self.speculation, options=options)
        return Visit(self, await MockRunner().start(launched, log, timeout_s))

    @property
    def is_gone(self) -> bool:
        return self.ends_after is not None and self.answered >= self.ends_after


class Visit:
    """Tells of an answer how many tokens it has in all, and nothing of steps and drafts."""

    pid = None

    def __init__(self, runner: Attached, server: Server) -> None:
        self._runner = runner
        self._server = server

    async def stream(self, request: Request) -> AsyncIterator[Burst | Completion]:
        if self._runner.is_gone:
            raise RequestError("no connection to localhost:8000")
        if self._runner.refuses == self._runner.answered:
            self._runner.answered += 1
            raise RequestError("HTTP 429: slow down")
        async for part in self._server.stream(request):
            if isinstance(part, Burst):
                yield replace(part, token_ids=None)
            else:
                yield Completion(
                    sent_at=part.sent_at,
                    output_tokens=part.output_tokens,
                    finish_reason=part.finish_reason,
                    prompt_tokens=part.prompt_tokens,
                    first_burst_at_most=self._runner.first_burst_at_most,
                )
        self._runner.answered += 1

    async def counters(self) -> Counters | None:
        return None

    async def next_tokens(
        self, request: Request, written: Sequence[int], count: int
    ) -> tuple[NextToken, ...] | None:
        return None

    async def review(self) -> Review:
        return Review(remark=REMARK)

    async def stop(self) -> None:
        await self._server.stop()
