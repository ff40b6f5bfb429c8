"""The URL of an endpoint, as it was given."""

from __future__ import annotations

from dataclasses import dataclass

from runners.base.exchange import public_url, split_url

API = "/v1"


@dataclass(frozen=True)
class Url:
    """Where an OpenAI-compatible API is, and the server that it is on."""

    api: str
    """'http://localhost:8000/v1'"""
    root: str
    """'http://localhost:8000'"""
    host: str
    port: int


def read_url(text: str) -> Url:
    """`text` with or without the API's own path: 'http://localhost:8000' is '…:8000/v1'.

    Raises:
        UsageError: no URL of http or https, or one that holds a secret or more than a path.
    """
    parts = public_url(text.strip(), "a key is named by --api-key-env")
    where = split_url(text.strip())
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or API
    server = f"{parts.scheme}://{parts.netloc}"
    return Url(
        api=server + path,
        root=server + path.removesuffix(API),
        host=where.host,
        port=where.port,
    )
