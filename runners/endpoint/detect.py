"""Which server software answers at a URL, by what only it answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from runners.base.contract import RequestError
from runners.base.exchange import message_of, secret_of
from runners.base.stream import Reply, fetch
from runners.endpoint.kinds import GENERIC, KINDS, Kind
from runners.endpoint.url import Url

LOOK_S = 10.0
"""Limit for one question."""
LARGEST_PAGE = 8 * 2**20
"""Bytes; a dozen pages are asked for at a time."""
MOST_MODELS = 10_000
LONGEST_VERSION = 80
LONGEST_NAME = 300
"""Characters; no model is called by more."""


@dataclass(frozen=True)
class Detected:
    """What answers."""

    kind: Kind
    version: str | None
    """None: it does not tell."""
    models: tuple[str, ...]
    """Names under which it serves models; none where it does not list them."""
    speculation: str | None = None
    """What it tells of its speculation, as a sentence; None: nothing."""
    slots: int | None = None
    """Requests that it has room for at once; None: it does not tell."""

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
    models = said.get("data")
    first = models[0] if isinstance(models, list) and models else None
    return "" if isinstance(first, dict) and "compatibility_type" in first else None


def _ollama(said: Said) -> str | None:
    return _text(said, "version") if isinstance(said.get("version"), str) else None


SGLANG = ("/server_info", "/get_server_info")
PAGES: Mapping[str, tuple[str, Callable[[Said], str | None]]] = {
    "/props": ("llama-server", _llama_server),
    **dict.fromkeys(SGLANG, ("sglang", _sglang)),
    "/info": ("tgi", _tgi),
    "/api/v0/models": ("lm-studio", _lm_studio),
    "/api/version": ("ollama", _ollama),
}
"""Page on the server's root -> the kind that has it, and what reads the version off it: '' if it
does not stand there, None if it is another's page."""

VERSION = "/version"
SLOTS = "/slots"
HEALTH = "/health"
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
    paths = [*PAGES, VERSION, SLOTS, HEALTH, *METRICS]
    models, *replies = await asyncio.gather(
        _ask(f"{url.api}/models", headers), *(_ask(url.root + path, headers) for path in paths)
    )
    if isinstance(models, RequestError) and all(isinstance(r, RequestError) for r in replies):
        raise models
    if isinstance(models, Reply) and models.status in (401, 403):
        raise _refused(models, headers)
    pages = {path: _json(reply) for path, reply in zip(paths, replies, strict=True)}
    texts = {path: _body(reply) for path, reply in zip(paths, replies, strict=True)}
    listed = _object(_json(models)).get("data")
    listed = listed if isinstance(listed, list) else []
    entries = [entry for entry in listed if isinstance(entry, dict)][:MOST_MODELS]
    kind, version = _recognise(pages, texts)
    if kind is GENERIC:
        kind = _by_models(entries)
    if kind is GENERIC and _is_mlx(entries, pages[HEALTH], replies):
        kind = KINDS["mlx-lm"]
    secret = secret_of(headers)
    names = tuple(name for entry in entries if _is_name(name := entry.get("id"), secret))
    told = (version, _speculation(pages))
    # A server that repeats the key tells nothing.
    version, speculation = (None if secret and secret in (said or "") else said for said in told)
    return Detected(kind, version, names, speculation, _slots(pages))


def _is_name(name: object, secret: str) -> TypeGuard[str]:
    """Whether it may be a model's: names go into logs and reports."""
    fits = isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable()
    return fits and not (secret and secret in str(name))


async def _ask(address: str, headers: Mapping[str, str]) -> Reply | RequestError:
    try:
        return await fetch(address, timeout_s=LOOK_S, headers=headers, largest=LARGEST_PAGE)
    except RequestError as error:
        return error


def _refused(reply: Reply, headers: Mapping[str, str]) -> RequestError:
    secret = secret_of(headers)
    return RequestError(
        f"HTTP {reply.status}: {message_of(reply.body, secret)} "
        f"({'the key' if headers else 'no key'} was sent; --api-key-env names the environment "
        "variable that holds it)",
        status=reply.status,
    )


def _recognise(pages: Mapping[str, object], texts: Mapping[str, str]) -> tuple[Kind, str | None]:
    """By what stands on pages that only one kind has."""
    for path, (name, read) in PAGES.items():
        said = _object(pages[path])
        if said and (version := read(said)) is not None:
            return KINDS[name], version or None
    told = _text(_object(pages[VERSION]), "version") or None
    for path, prefixes in METRICS.items():
        for prefix, name in prefixes:
            if re.search(rf"^(?:# (?:TYPE|HELP) )?{re.escape(prefix)}", texts[path], re.MULTILINE):
                return KINDS[name], told
    return GENERIC, told


def _by_models(models: Sequence[Mapping[str, Any]]) -> Kind:
    """By whom it names as the owner of its models."""
    owners = {str(model.get("owned_by")) for model in models}
    return next((KINDS[name] for owner, name in OWNERS.items() if owner in owners), GENERIC)


def _is_mlx(
    models: Sequence[Mapping[str, Any]], health: object, replies: Sequence[Reply | RequestError]
) -> bool:
    """mlx-lm's server is made of Python's own, is well, and says only three things of a model."""
    pythons = any(
        isinstance(reply, Reply) and reply.software.startswith("BaseHTTP/") for reply in replies
    )
    bare = all(set(model) == {"id", "object", "created"} for model in models)
    return pythons and bare and health == {"status": "ok"}


def _speculation(pages: Mapping[str, object]) -> str | None:
    told = (_object(pages[path]).get("speculative_algorithm") for path in SGLANG)
    if (algorithm := next((each for each in told if each), None)) is not None:
        return f"the server speculates by {_printable(str(algorithm))}"
    slots = pages[SLOTS]
    first = slots[0] if isinstance(slots, list) and slots else None
    if isinstance(first, dict) and first.get("speculative") is True:
        return "the server speculates, and does not tell how"
    return None


def _slots(pages: Mapping[str, object]) -> int | None:
    """As llama.cpp's server tells them."""
    told = _object(pages["/props"]).get("total_slots")
    return told if type(told) is int and told > 0 else None


def _body(reply: Reply | RequestError) -> str:
    """The text of an answer; nothing if it is none."""
    if isinstance(reply, RequestError) or reply.status != 200:
        return ""
    return reply.body.decode(errors="replace")


def _json(reply: Reply | RequestError) -> object:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(_body(reply))
    return None


def _object(said: object) -> dict[str, Any]:
    """As it is; empty if it is no JSON object."""
    return said if isinstance(said, dict) else {}


def _text(said: Said, key: str) -> str:
    return _printable(str(said.get(key) or ""))


def _printable(text: str) -> str:
    """Cut, and without control characters: it goes into logs and reports."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:LONGEST_VERSION])
