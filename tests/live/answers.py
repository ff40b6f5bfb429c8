"""One answer of a real server, as the live tests look at it."""

from __future__ import annotations

from runners.base.contract import Burst, Completion, Request, Server


async def answer(server: Server, ask: Request) -> tuple[list[Burst], Completion]:
    parts = [part async for part in server.stream(ask)]
    bursts = [part for part in parts if isinstance(part, Burst)]
    (completion,) = (part for part in parts if isinstance(part, Completion))
    return bursts, completion


def tokens(bursts: list[Burst]) -> list[int]:
    return [token for burst in bursts for token in burst.token_ids or ()]


def text(bursts: list[Burst]) -> str:
    return "".join(burst.text for burst in bursts)
