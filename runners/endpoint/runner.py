"""The runner 'endpoint': a server that already runs, behind an OpenAI-compatible API."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runners.base.contract import (
    Found,
    LaunchSpec,
    Message,
    Missing,
    OptionValue,
    Request,
    RequestError,
    RunnerError,
    StartError,
    UsageError,
)
from runners.base.listener import listener
from runners.base.packaging import Packaging
from runners.base.speculation import AS_SERVED
from runners.base.support import MethodSupport
from runners.endpoint.attach import attach, note
from runners.endpoint.detect import Detected, detect
from runners.endpoint.form import OURS, Form
from runners.endpoint.holder import Visitor
from runners.endpoint.kinds import GENERIC, UNKNOWN
from runners.endpoint.server import Api, EndpointServer
from runners.endpoint.url import Url, read_url

MODEL = "model"
SHOWN_MODELS = 8
ADVICE = "name it: --url http://localhost:8080/v1, or url = … of a [runners.NAME] in a suite file"


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Endpoint:
    """One URL. Without one, nothing is found."""

    name = "endpoint"
    packagings: tuple[Packaging, ...] = ()
    attached = True

    def __init__(self, url: str | None = None, api_key_env: str | None = None) -> None:
        """`api_key_env`: the environment variable that holds the key, if it wants one.

        Raises:
            UsageError: no URL that can be used, or what is no name of a variable.
        """
        self._url = None if url is None else read_url(url)
        if api_key_env is not None and not _VARIABLE.fullmatch(api_key_env):
            # It may be the key itself: it is not shown.
            raise UsageError(
                "--api-key-env takes the name of an environment variable that holds the key, and "
                "what it was given is no such name"
            )
        self._key_variable = api_key_env

    def find(self) -> Found | Missing:
        if self._url is None:
            return Missing("no URL is named", ADVICE)
        detected = self._detected()
        if not isinstance(detected, Detected):
            version = source = UNKNOWN
            told = str(detected)
        else:
            version, source = detected.words, detected.kind.acceptance_source
            told = detected.speculation or "whatever the server was started with"
        return Found(
            version=version,
            where=self._url.api,
            methods=(MethodSupport(AS_SERVED, supported=True, note=told),),
            acceptance_source=source,
            starting_s=0.0,
        )

    def check(self, spec: LaunchSpec) -> None:
        self._needed_url()
        _check(spec)
        detected = self._detected()
        if isinstance(detected, Detected):
            _model(spec, detected)

    def canonical(self, option: str) -> str:
        return option.strip().lstrip("-").replace("-", "_")

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        return ()

    def applies(self, option: str, method: str) -> bool:
        return True

    def reproduce(self, spec: LaunchSpec) -> str:
        url = self._needed_url()
        detected = self._detected()
        model, kind = str(dict(spec.options).get(MODEL, "MODEL")), GENERIC
        if isinstance(detected, Detected):
            model, kind = _model(spec, detected), detected.kind
        form = Form(model, extras=kind.fields, options=_fields(spec))
        body = form.body(Request((Message("user", "Hi"),), max_tokens=256))
        words = ["curl", "-N", Api(url, kind).chat, "-H", "Content-Type: application/json"]
        command = shlex.join([*words, "-d", json.dumps(body)])
        if self._key_variable is not None:
            # In double quotes, so that the shell puts the key in.
            command += f' -H "Authorization: Bearer ${self._key_variable}"'
        return command

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> EndpointServer:
        _check(spec)
        url = self._needed_url()
        headers = self._headers()
        try:
            # Asked again for each launch: it may have been started anew.
            detected = await detect(url, headers)
        except RequestError as error:
            note(log, f"{url.api}: {error}")
            raise StartError(str(error)) from None
        models = ", ".join(detected.models[:SHOWN_MODELS]) or "none listed"
        note(log, f"{url.api}: {detected.words}; models: {models}")
        return await attach(
            Api(url, detected.kind, headers),
            _model(spec, detected),
            holder=Visitor(listener(url.host, url.port)),
            log=log,
            timeout_s=timeout_s,
            options=_fields(spec),
            remark=detected.speculation,
            slots=detected.slots,
        )

    def _needed_url(self) -> Url:
        if self._url is None:
            raise UsageError(f"no URL is named; {ADVICE}")
        return self._url

    def _headers(self) -> Mapping[str, str]:
        if self._key_variable is None:
            return {}
        key = os.environ.get(self._key_variable, "").strip()
        if not key:
            # A name in other letters may be the key itself.
            plain = self._key_variable.isupper()
            name = self._key_variable if plain else "that --api-key-env names"
            raise UsageError(f"the environment variable {name} holds no key for the endpoint")
        return {"Authorization": f"Bearer {key}"}

    def _detected(self) -> Detected | RunnerError:
        """What answers there; an error is no verdict, since it may answer later."""
        try:
            headers = self._headers()
        except UsageError as error:
            return error
        return _ask(self._needed_url(), tuple(headers.items()))


@functools.cache
def _ask(url: Url, headers: tuple[tuple[str, str], ...]) -> Detected | RunnerError:
    """Ask once a process. In a thread: the caller may be in an event loop itself."""
    try:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(detect(url, dict(headers)))).result()
    except RunnerError as error:
        return error


def _check(spec: LaunchSpec) -> None:
    """What can be said without asking the server.

    Raises:
        UsageError: another way of decoding than the server's own, or a field that is not free.
    """
    if spec.speculation.method != AS_SERVED:
        raise UsageError(
            f"a server that already runs decodes as it was started: it cannot be asked for "
            f"{spec.speculation.method!r}"
        )
    for name, _ in spec.options:
        if name in OURS:
            raise UsageError(f"bench sets the field {name!r} of requests itself")


def _fields(spec: LaunchSpec) -> tuple[tuple[str, OptionValue], ...]:
    return tuple((name, value) for name, value in spec.options if name != MODEL)


def _model(spec: LaunchSpec, detected: Detected) -> str:
    """The model's name for the server.

    Raises:
        UsageError: the server has several, and none is named, or lists none.
    """
    named = dict(spec.options).get(MODEL)
    if named is not None:
        return str(named)
    if detected.kind.own_model is not None:
        return detected.kind.own_model
    if len(detected.models) == 1:
        return detected.models[0]
    how = "name one: --runner-arg model=NAME"
    if not detected.models:
        raise UsageError(
            "there is no list of models under this URL: give that of the API, as in "
            f"http://localhost:8080/v1, or if this is it, {how}"
        )
    more = len(detected.models) - SHOWN_MODELS
    shown = ", ".join(detected.models[:SHOWN_MODELS]) + (f" and {more} more" if more > 0 else "")
    raise UsageError(f"the endpoint serves {shown}; {how}")
