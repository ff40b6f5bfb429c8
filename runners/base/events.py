"""Events out of a stream of bytes: server-sent ones, and lines."""

from __future__ import annotations

LARGEST_EVENT = 16 * 2**20
"""Bytes; a stream with a larger event is refused."""


class Decoder:
    """Server-sent events out of bytes, as the WHATWG standard reads them; data fields only."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._after_cr = False
        self._begun = False

    def feed(self, piece: bytes) -> list[str]:
        """The payloads of the events that `piece` completes.

        Raises:
            ValueError: an event is longer than 16 MiB.
        """
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_cr = False
        if not piece:
            return []
        self._after_cr = piece.endswith(b"\r")
        self._size += len(piece)
        if self._partial:
            self._partial += piece
            if b"\n" not in piece and b"\r" not in piece:
                self._check_size()
                return []
            piece = bytes(self._partial)
            self._partial.clear()
        lines = piece.splitlines()
        if not piece.endswith((b"\n", b"\r")):
            self._partial += lines.pop()
        events = []
        for line in lines:
            if not self._begun:
                self._begun = True
                line = line.removeprefix(b"\xef\xbb\xbf")  # noqa: PLW2901
            if line.startswith(b"data:"):
                self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
            elif not line and self._data:
                events.append(self._take())
            elif line == b"data":
                self._data.append(b"")
        if events:
            self._size = 0
        else:
            self._check_size()
        return events

    def close(self) -> list[str]:
        """What is left at the end: several servers leave the last blank line away.

        Raises:
            ValueError: the end came in the middle of a line.
        """
        if self._partial:
            raise ValueError("it ended in the middle of an event")
        return [self._take()] if self._data else []

    def _take(self) -> str:
        text = b"\n".join(self._data).decode("utf-8", "replace")
        self._data.clear()
        return text

    def _check_size(self) -> None:
        if self._size > LARGEST_EVENT:
            raise ValueError(f"an event is longer than {LARGEST_EVENT >> 20} MiB")


class LineDecoder:
    """Lines that are not empty."""

    def __init__(self) -> None:
        self._partial = bytearray()

    def feed(self, piece: bytes) -> list[str]:
        """The lines that `piece` completes.

        Raises:
            ValueError: a line is longer than 16 MiB.
        """
        self._partial += piece
        if b"\n" not in piece:
            if len(self._partial) > LARGEST_EVENT:
                raise ValueError(f"a line is longer than {LARGEST_EVENT >> 20} MiB")
            return []
        *lines, rest = self._partial.split(b"\n")
        self._partial = rest
        return [_text(line) for line in lines if line.strip()]

    def close(self) -> list[str]:
        """What is left at the end: the last line need not be ended."""
        line, self._partial = self._partial, bytearray()
        return [_text(line)] if line.strip() else []


def _text(line: bytes | bytearray) -> str:
    return line.decode("utf-8", "replace").strip()
