"""What a server said, as a file: exchanges that were recorded, or written from documentation.

Imports nothing of the runners: it is what they are checked against. The format stands in README.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

FOLDER = Path(__file__).with_name("files")
LIMITS = ("max_tokens", "max_completion_tokens")
"""Fields of a request that bound its answer."""
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}

Moment = Annotated[float, Field(ge=0)]
"""Seconds since the server had the whole request."""


class TranscriptError(Exception):
    """A file is no transcript; the text says where."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Asked(_Part):
    """What must hold of a request's JSON for an exchange to be the answer to it.

    Names may lead into objects: 'stream_options.include_usage'.
    """

    equals: Mapping[str, JsonValue] = {}
    has: tuple[str, ...] = ()
    beyond: tuple[str, ...] | None = None
    """The fields that the server knows: holds where there is one more on the first level."""

    def holds(self, body: Mapping[str, JsonValue]) -> bool:
        return (
            all(_look_up(body, name) == value for name, value in self.equals.items())
            and all(_look_up(body, name) is not None for name in self.has)
            and (self.beyond is None or not set(body) <= set(self.beyond))
        )


def _look_up(body: Mapping[str, JsonValue], name: str) -> JsonValue:
    found: JsonValue = dict(body)
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


class Answer(_Part):
    """One answer: `pieces`, `events`, `json` or `text`, and nothing else of the four."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    """Besides those that `framing` makes."""
    framing: Literal["wire", "chunked", "length", "close"] = "length"
    """'wire': headers and pieces stand as they were on the wire, chunk sizes included."""
    at: Moment = 0.0
    """When the headers are sent; with the first piece where that is due at the same time."""
    pieces: tuple[tuple[Moment, str], ...] | None = None
    """What was read at once, and when. Bytes that are no UTF-8 stand as U+DC80 to U+DCFF."""
    events: tuple[tuple[Moment | JsonValue, ...], ...] | None = None
    """The same for server-sent events: (when, event, …) are sent at once. An object is an event's
    data; a text is sent as it stands."""
    each: Mapping[str, JsonValue] = {}
    """Fields of every object in `events`."""
    newline: str = "\n"
    data: JsonValue = Field(default=None, alias="json")
    text: str | None = None

    @model_validator(mode="after")
    def _one_body(self) -> Answer:
        bodies = [self.pieces, self.events, self.data, self.text]
        if sum(body is not None for body in bodies) != 1:
            raise ValueError("an answer has pieces, events, json or text: one of them")
        if self.streamed == (self.framing == "length"):
            raise ValueError("the framing 'length' goes with json and text, and with them alone")
        for moments in (self.pieces, self.events):
            times = [moment for moment, *_ in moments or ()]
            if not all(isinstance(time, (float, int)) for time in times) or times != sorted(times):  # type: ignore[type-var]
                raise ValueError("pieces and events begin with their times, in order")
        return self

    @property
    def streamed(self) -> bool:
        return self.pieces is not None or self.events is not None

    def body(self) -> str:
        """Of an answer that is not streamed."""
        return self.text if self.text is not None else json.dumps(self.data)

    def head(self, length: int | None = None) -> bytes:
        headers = [*self.headers]
        if self.framing == "chunked":
            headers.append(("Transfer-Encoding", "chunked"))
        elif length is not None:
            headers.append(("Content-Length", str(length)))
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in headers]
        return "\r\n".join([*lines, "", ""]).encode()

    def sends(self) -> list[tuple[float, bytes]]:
        """Of a streamed answer: what goes out at once after the headers, and when."""
        if self.pieces is not None:
            parts = [(at, encode(text)) for at, text in self.pieces]
        else:
            parts = []
            for at, *events in self.events or ():
                assert isinstance(at, (float, int))
                parts.append((float(at), b"".join(self._event(event) for event in events)))
        if self.framing == "chunked":
            parts = [(at, b"%x\r\n%s\r\n" % (len(data), data)) for at, data in parts]
            at, last = parts[-1]
            parts[-1] = (at, last + b"0\r\n\r\n")
        return parts

    def _event(self, event: JsonValue) -> bytes:
        if isinstance(event, str):
            return encode(event)
        assert isinstance(event, dict)
        data = json.dumps({**self.each, **event}, ensure_ascii=False)
        return encode(f"data: {data}{self.newline}{self.newline}")


class Exchange(_Part):
    """A request and its answer."""

    method: Literal["GET", "POST"] = "GET"
    path: str
    asked: Asked = Asked()
    answer: Answer
    adds: Mapping[str, float] = {}
    """Series, as it stands on the pages of counters (labels included) -> what one such request
    adds to it."""


class Transcript(_Part):
    """One server in one state."""

    server: str
    version: str
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    recorded: bool
    source: str
    """How it was recorded, or which documents it was written from."""
    says: str
    """What is particular about this server."""
    exchanges: tuple[Exchange, ...]

    def find(self, method: str, path: str, body: Mapping[str, JsonValue]) -> Exchange | None:
        """The first exchange that the request fits."""
        for exchange in self.exchanges:
            fits = (exchange.method, exchange.path) == (method, path)
            if fits and exchange.asked.holds(body):
                return exchange
        return None


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def names() -> tuple[str, ...]:
    """Of the files that are here."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def read(file: Path | str) -> Transcript:
    """A transcript's file, or the one of this name that is here.

    Raises:
        TranscriptError: it is not there, or no transcript.
    """
    path = FOLDER / f"{file}.json" if isinstance(file, str) else file
    try:
        # Not pydantic's own reader, which refuses the stand-ins of broken characters.
        return Transcript.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise TranscriptError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise TranscriptError(f"{path}: {where}: {first['msg']}") from None
    except ValueError as error:
        raise TranscriptError(f"{path}: {error}") from None


def for_any_limit(transcript: Transcript, tokens: int) -> Transcript:
    """The transcript, with its answers of so many tokens for limits that it does not know, too."""
    more = []
    for exchange in transcript.exchanges:
        equals = exchange.asked.equals
        rest = {name: value for name, value in equals.items() if name not in LIMITS}
        if len(rest) < len(equals) and tokens in (equals.get(name) for name in LIMITS):
            asked = exchange.asked.model_copy(update={"equals": rest})
            more.append(exchange.model_copy(update={"asked": asked}))
    return transcript.model_copy(update={"exchanges": (*transcript.exchanges, *more)})


def write(transcript: Transcript, path: Path) -> None:
    """A line for each piece, so that a change can be read in a diff."""
    said = transcript.model_dump(mode="python", by_alias=True, exclude_defaults=True)
    exchanges = said.pop("exchanges")
    head = {"recorded": transcript.recorded, **said}
    lines = [f" {json.dumps(name)}: {_dump(value)}," for name, value in head.items()]
    blocks = ",\n".join(_exchange(exchange) for exchange in exchanges)
    path.write_text(
        "\n".join(["{", *lines, ' "exchanges": [', blocks, " ]", "}", ""]), encoding="utf-8"
    )


def _exchange(said: dict[str, JsonValue]) -> str:
    answer = dict(said.pop("answer"))  # type: ignore[arg-type]
    parts = [f'"{name}": {_dump(value)}' for name, value in said.items()]
    rows = {name: answer.pop(name) for name in ("pieces", "events") if name in answer}
    inner = [f'"{name}": {_dump(value)}' for name, value in answer.items()]
    for name, row in rows.items():
        pieces = ",\n   ".join(_dump(piece) for piece in row)  # type: ignore[union-attr]
        inner.append(f'"{name}": [\n   {pieces}\n   ]')
    return "  {" + ",\n   ".join([*parts, '"answer": {' + ",\n    ".join(inner) + "}"]) + "}"


def _dump(value: object) -> str:
    # Broken characters have no place in a UTF-8 file, so they stand as \udcXX there.
    text = json.dumps(value, ensure_ascii=False)
    return "".join(f"\\u{ord(c):04x}" if 0xD800 <= ord(c) < 0xE000 else c for c in text)
