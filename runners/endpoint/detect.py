"""Which server software answers at a URL, by what only it answers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runners.base.contract import RequestError
from runners.base.exchange import message_of
from runners.base.stream import Reply, fetch
from runners.endpoint.kinds import GENERIC, KINDS, Kind
from runners.endpoint.url import Url

LOOK_S = 10.0
"""Limit for one question."""
MOST_MODELS = 10_000
LONGEST_VERSION = 80


@dataclass(frozen=True)
class Detected:
    """What answers."""

    kind: Kind
    version: str | None
    """None: it does not tell."""
    models: tuple[str, ...]
    """Names under which it serves models; none where it does not list them."""
    speculates: str | None = None
    """What it says of its way of speculating; None: nothing."""

    @property
    def words(self) -> str:
        """'llama-server b11434-fd9fffe'"""
        return self.kind.name if self.version is None else f"{self.kind.name} {self.version}"


Said = Mapping[str, Any]


def _llama_server(said: Said) -> str | None:
    return _text(said, "build_info") if "default_generation_settings" in said else None


def _sglang(said: Said) -> str | None:
    return _text(said, "version") if "speculative_algorithm" in said else None


def _tgi(said: Said) -> str | None:
    return _text(said, "version") if "max_concurrent_requests" in said else None


def _lm_studio(said: Said) -> str | None:
    models = said.get("data") or []
    return "" if models and "compatibility_type" in models[0] else None


def _ollama(said: Said) -> str | None:
    return _text(said, "version") if isinstance(said.get("version"), str) else None


SGLANG = ("/server_info", "/get_server_info")
PAGES: Mapping[str, tuple[tuple[str, Callable[[Said], str | None]], ...]] = {
    "/props": (("llama-server", _llama_server),),
    **dict.fromkeys(SGLANG, (("sglang", _sglang),)),
    "/info": (("tgi", _tgi),),
    "/api/v0/models": (("lm-studio", _lm_studio),),
    "/api/version": (("ollama", _ollama),),
}
"""Page on the server's root -> kinds that have it, and what reads the version off it ('' if it does
not stand there); None: it is another's page."""

VERSION = "/version"
METRICS = {
    "/metrics": (
        ("vllm:", "vllm"),
        ("sglang:", "sglang"),
        ("tgi_", "tgi"),
        ("llamacpp:", "llama-server"),
    ),
    "/prometheus/metrics": (("trtllm_", "tensorrt-llm"),),
}
"""Page of counters -> beginnings of their names, and whose they are."""
OWNERS = {
    "llamacpp": "llama-server",
    "vllm": "vllm",
    "sglang": "sglang",
    "tensorrt_llm": "tensorrt-llm",
    "library": "ollama",
}
"""What servers say of who owns a model."""


async def detect(url: Url, headers: Mapping[str, str]) -> Detected:
    """Ask the server who it is.

    Raises:
        RequestError: it cannot be reached, or refuses the key.
    """
    listed = await fetch(f"{url.api}/models", timeout_s=LOOK_S, headers=headers)
    if listed.status in (401, 403):
        secret = headers.get("Authorization", "").rpartition(" ")[2]
        said = message_of(listed.body, secret)
        raise RequestError(
            f"HTTP {listed.status}: {said} ({'the key' if secret else 'no key'} was sent; "
            "--api-key-env names the environment variable that holds it)",
            status=listed.status,
        )
    paths = [*PAGES, VERSION, *METRICS]
    replies = await asyncio.gather(*(_ask(url, path, headers) for path in paths))
    pages = dict(zip(paths, replies, strict=True))
    models = _object(listed).get("data")
    entries = [entry for entry in models or () if isinstance(entry, dict)][:MOST_MODELS]
    kind, version = _recognise(pages, entries, listed.software)
    told = (_object(pages[path]).get("speculative_algorithm") for path in SGLANG)
    speculates = next((str(each)[:LONGEST_VERSION] for each in told if each), None)
    names = tuple(str(entry["id"]) for entry in entries if entry.get("id"))
    return Detected(kind, version, names, speculates)


async def _ask(url: Url, path: str, headers: Mapping[str, str]) -> Reply | None:
    try:
        return await fetch(url.root + path, timeout_s=LOOK_S, headers=headers)
    except RequestError:
        return None


def _recognise(
    pages: Mapping[str, Reply | None], models: list[dict[str, Any]], software: str
) -> tuple[Kind, str | None]:
    for path, readers in PAGES.items():
        said = _object(pages[path])
        for name, read in readers:
            if said and (version := read(said)) is not None:
                return KINDS[name], version or None
    told = _text(_object(pages[VERSION]), "version") or None
    for path, prefixes in METRICS.items():
        reply = pages[path]
        page = "" if reply is None or reply.status != 200 else reply.body.decode(errors="replace")
        for prefix, name in prefixes:
            if re.search(rf"^(?:# (?:TYPE|HELP) )?{re.escape(prefix)}", page, re.MULTILINE):
                return KINDS[name], told
    owners = {str(model.get("owned_by")) for model in models}
    for owner, name in OWNERS.items():
        if owner in owners:
            return KINDS[name], told
    # mlx-lm's server is made of Python's own, and says of models only these three things.
    if (
        software.startswith("BaseHTTP/")
        and models
        and set(models[0]) == {"id", "object", "created"}
    ):
        return KINDS["mlx-lm"], None
    return GENERIC, None


def _object(reply: Reply | None) -> dict[str, Any]:
    """The JSON object of an answer; empty if it is none."""
    if reply is None or reply.status != 200:
        return {}
    try:
        said = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _text(said: Said, key: str) -> str:
    return str(said.get(key) or "")[:LONGEST_VERSION]
