"""Makes a server that is up ready to be measured: in what form it takes requests, and a probe."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from runners.base.contract import (
    Burst,
    Completion,
    Message,
    OptionValue,
    Request,
    RequestError,
    RunnerError,
    StartError,
)
from runners.base.process import log_tail
from runners.endpoint.form import Form
from runners.endpoint.holder import Holder
from runners.endpoint.server import Api, EndpointServer

PROBE = Request((Message("user", "Hi"),), max_tokens=8)
"""Long enough for a draft to be verified."""
MOST_FORMS = 12


async def attach(
    api: Api,
    model: str,
    *,
    holder: Holder,
    log: Path,
    timeout_s: float,
    options: Sequence[tuple[str, OptionValue]] = (),
    remark: str | None = None,
    slots: int | None = None,
) -> EndpointServer:
    """Find the form of requests that the server takes, with a probe request that it answers.

    `options` are fields of every request. What was tried is appended to `log`.

    Raises:
        StartError: it did not answer, or takes no form of the request. The holder is as it was.
    """
    deadline = time.monotonic() + timeout_s
    form = Form(model, extras=api.kind.fields, options=tuple(options))
    tried: list[str] = []
    for _ in range(MOST_FORMS):
        server = EndpointServer(api, form, holder, remark, slots)
        try:
            left = max(1.0, deadline - time.monotonic())
            said = await _probe(server, replace(PROBE, timeout_s=left))
        except RequestError as error:
            note(log, f"{form.words}: {error}")
            tried.append(str(error))
            poorer = form.without_refused(error)
            if poorer is None or time.monotonic() > deadline:
                raise StartError(
                    f"did not answer a probe request: {tried[0]}", log_tail(log)
                ) from None
            form = poorer
            continue
        note(log, f"{form.words}: answered {said!r}")
        return server
    raise StartError(f"takes no form of a chat request: {tried[0]}", log_tail(log))


async def _probe(server: EndpointServer, request: Request) -> str:
    """The text of the answer.

    Raises:
        RequestError: there was none.
    """
    text: list[str] = []
    try:
        await server.counters()
        async for part in server.stream(request):
            if isinstance(part, Burst):
                text.append(part.text)
            elif isinstance(part, Completion) and not part.output_tokens:
                raise RequestError("the answer has no token")
    except RequestError:
        raise
    except RunnerError as error:
        raise RequestError(str(error)) from None
    return "".join(text)[:200]


def note(log: Path, line: str) -> None:
    """Append a line to the log of a launch."""
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
