"""The URL of an endpoint, as it was given."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from runners.base.contract import UsageError
from runners.base.exchange import split_url

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
    try:
        parts = urlsplit(text.strip())
    except ValueError as error:
        raise UsageError(f"not a valid URL: {error}") from None
    # Nothing of what may be a secret is shown.
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            "the URL holds a user name or password, which would be written into the report; "
            "a key is named by --api-key-env"
        )
    if parts.query or parts.fragment:
        raise UsageError(
            "the URL holds more than a path: leave away what follows '?' or '#'; a key is named "
            "by --api-key-env"
        )
    where = split_url(text.strip())
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or API
    server = f"{parts.scheme}://{parts.netloc}"
    return Url(
        api=server + path,
        root=server + path.removesuffix(API),
        host=where.host,
        port=where.port,
    )
