"""Makes a model of files in an Ollama that runs, loads it, and takes it away again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runners.base.contract import RequestError
from runners.base.json_text import read_object
from runners.base.stream import JSON, fetch
from runners.ollama.connection import send_file, status_of
from runners.ollama.files import digest_of
from runners.ollama.launch import Settings
from runners.ollama.store import Store

SMALL_REQUEST_S = 30.0
LONGEST = 500


class Models:
    """One model in one Ollama."""

    def __init__(self, address: str, name: str) -> None:
        self._address = address
        self.name = name

    async def make(self, settings: Settings, store: Store | None, timeout_s: float) -> None:
        """Import the files and make the model; `store` None: the files are sent.

        Raises:
            StartError: a file cannot be read, or the store not be written.
            RequestError: Ollama does not take them.
        """
        asked: dict[str, JSON] = {
            "model": self.name,
            "files": await self._give(settings.model, store, timeout_s),
            "parameters": settings.parameters,
            "stream": False,
        }
        if settings.draft:
            asked["draft_files"] = await self._give(settings.draft, store, timeout_s)
        body = await self._post("/api/create", asked, timeout_s)
        if body.get("status") != "success":
            raise RequestError(f"/api/create ended with {str(body)[:200]}")

    async def _give(
        self, files: Sequence[Path], store: Store | None, timeout_s: float
    ) -> dict[str, str]:
        given = {}
        for path in files:
            digest = await asyncio.to_thread(digest_of, path)
            if store is not None:
                store.place(path, digest)
            else:
                await asyncio.to_thread(self._upload, path, digest, timeout_s)
            given[path.name.replace(":", "_").replace("\\", "_")] = digest
        return given

    def _upload(self, path: Path, digest: str, timeout_s: float) -> None:
        target = f"/api/blobs/{digest}"
        if status_of(self._address, "HEAD", target, b"", SMALL_REQUEST_S) == 200:
            return
        send_file(self._address, target, path, timeout_s)

    async def load(self, timeout_s: float, *, keep: int | str) -> None:
        """Into memory, to stay for `keep` after each request; -1: for good.

        Raises:
            RequestError: it does not load.
        """
        asked: dict[str, JSON] = {"model": self.name, "keep_alive": keep, "stream": False}
        await self._post("/api/generate", asked | {"shift": False}, timeout_s)

    async def remove(self) -> None:
        """Out of memory, and out of the store with all that nothing else needs.

        Raises:
            RequestError: the server does not answer.
        """
        asked: dict[str, JSON] = {"model": self.name, "keep_alive": 0, "stream": False}
        # What cannot be unloaded is deleted all the same.
        with contextlib.suppress(RequestError):
            await fetch(f"{self._address}/api/generate", asked, timeout_s=SMALL_REQUEST_S)
        body = json.dumps({"model": self.name}).encode()
        await asyncio.to_thread(
            status_of, self._address, "DELETE", "/api/delete", body, SMALL_REQUEST_S
        )

    async def _post(self, path: str, asked: dict[str, JSON], timeout_s: float) -> dict[str, Any]:
        reply = await fetch(f"{self._address}{path}", asked, timeout_s=timeout_s)
        text = reply.body.decode(errors="replace").strip()
        # Where an older version streams all the same, its last line is what counts.
        last = text.splitlines()[-1] if text else ""
        if reply.status != 200 and not last.startswith("{"):
            raise RequestError(f"{path} failed with HTTP {reply.status}: {text[:LONGEST]}")
        return read_object(last)
