"""One generation of OpenVINO GenAI, as steps that can be taken one after the other."""

from __future__ import annotations

import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import openvino_genai as genai

Tokens = tuple[int, ...]


class Streamer(genai.StreamerBase):  # type: ignore[misc]
    """Takes the tokens of each step, all of one at once; the package's text streamer joins them."""

    def __init__(self, take: Callable[[Tokens], None]) -> None:
        super().__init__()
        self._take = take
        self.cancelled = False

    def write(self, token: int | Sequence[int]) -> Any:
        self._take((token,) if isinstance(token, int) else tuple(token))
        status = genai.StreamingStatus
        return status.CANCEL if self.cancelled else status.RUNNING

    def end(self) -> None:
        """The result follows."""


class Answer:
    """Runs in a thread of its own, as the package calls back from one."""

    def __init__(self, generate: Callable[[Streamer], Any]) -> None:
        self._parts: queue.SimpleQueue[Tokens | None] = queue.SimpleQueue()
        self._streamer = Streamer(self._parts.put)
        self._generate = generate
        self._result: Any = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._generate(self._streamer)
        except Exception:
            # What broke off once makes no drafts from then on, and does not say so: no further
            # request must reach it.
            traceback.print_exc(file=sys.stderr)
            sys.stderr.flush()
            os._exit(1)
        finally:
            self._parts.put(None)

    def steps(self) -> Iterator[Tokens]:
        """The tokens of each step, as soon as they are there."""
        while (tokens := self._parts.get()) is not None:
            yield tokens

    @property
    def result(self) -> Any:
        """The package's own account, after the last step."""
        return self._result

    def close(self) -> None:
        """Give up what is not done; returns when nothing runs any more."""
        self._streamer.cancelled = True
        self._thread.join()
