"""The runner 'tgi': Hugging Face's text-generation-inference, by its launcher."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runners.base.contract import LaunchSpec, Missing, UsageError
from runners.base.failure import Manner, read_end
from runners.base.model_files import model_folder
from runners.base.speculation import PLAIN, WITH_DRAFT
from runners.base.support import LengthLimit, MethodSupport, Need
from runners.endpoint.launched import Build, Launch, LaunchedServer
from runners.endpoint.place import HOST, Place, page
from runners.endpoint.server import EndpointServer
from runners.tgi.build import describe, environment
from runners.tgi.heads import check_heads, check_target

KINDS = "Hugging Face"
SPECULATE = "speculate"
VARIABLES = {"PREFIX_CACHING": "0"}
"""There is no flag for it."""
COUNTING = ("ATTENTION",)
"""Variables of the user's that change how it computes, and that no flag sets."""
_TOLD = re.compile(r"^\s*speculate: (?:None|Some\(\s*(\d+))", re.MULTILINE)
"""Of the arguments that the launcher's log begins with."""

OURS = {
    "model-id": "--model",
    "revision": "bench: it measures folders, and looks nothing up",
    "port": "bench",
    "hostname": "bench: it listens on 127.0.0.1",
    "shard-uds-path": "bench",
    "api-key": "bench: nobody else can reach the server",
    "speculate": "--method and --draft-tokens",
    "json-output": "bench: it reads the log",
    "usage-stats": "bench: it reports nothing",
    "ngrok": "bench: it listens on 127.0.0.1",
    "ngrok-authtoken": "bench: it listens on 127.0.0.1",
    "ngrok-edge": "bench: it listens on 127.0.0.1",
    "env": "nothing: it only prints",
    "help": "nothing: it only prints",
    "version": "nothing: it only prints",
}
"""What sets it instead."""


@dataclass(frozen=True)
class _Method:
    needs: tuple[Need, ...] = ()
    limit: LengthLimit | None = None


METHODS: Mapping[str, _Method] = {
    "medusa": _Method((Need.MEDUSA_HEADS,), LengthLimit.MEDUSA_HEADS),
    "ngram": _Method(),
}


class Tgi(LaunchedServer):
    """One TGI."""

    name = "tgi"
    title = "TGI"
    ours = OURS
    manner = Manner(
        # Its own lines begin with a time, a level, and the places that say it.
        prefix=re.compile(
            r"^\d{4}-\d\d-\d\dT[\d:.]+Z\s+[A-Z]+ (?:[a-z][a-z0-9_:-]*(?:\{[^}]*\})?: ?)*"
        ),
        vague=(
            "ShardCannotStart",
            "ShardDisconnected",
            "ShardFailed",
            "WebserverFailed",
            "WebserverCannotStart",
            "DownloadError",
            "Shard complete standard error output",
        ),
    )

    def describe(self) -> Build | Missing:
        return describe(self._program)

    def support(self, method: str, build: Build) -> MethodSupport:
        if method == PLAIN:
            return MethodSupport(method, supported=True)
        if method not in METHODS:
            return MethodSupport(method, supported=False, note="TGI has no such method")
        own = METHODS[method]
        note = "; ".join(f"needs {need.value}" for need in own.needs)
        return MethodSupport(method, supported=True, note=note, needs=own.needs, limit=own.limit)

    def launch(self, spec: LaunchSpec, build: Build, config: str) -> Launch:
        options = {self.canonical(name): value for name, value in spec.options}
        given = [word for name, value in options.items() for word in self.words(name, value, build)]
        words = ["--model-id", self._folder(spec, build)]
        # Tokens of a request: of its prompt, and of prompt and answer.
        for name, text in (
            ("max-input-tokens", str(max(1, spec.context - 1))),
            ("max-total-tokens", str(max(2, spec.context))),
            ("usage-stats", "off"),
        ):
            if name not in options and build.help.has(name):
                words += [f"--{name}", text]
        if spec.speculation.draft_tokens is not None:
            words += [f"--{SPECULATE}", str(spec.speculation.draft_tokens)]
        return Launch((*words, *given), VARIABLES)

    def _folder(self, spec: LaunchSpec, build: Build) -> str:
        """The folder that TGI is given: of Medusa heads, which name their model, or the model's.

        Raises:
            UsageError: it cannot speculate so.
        """
        model = model_folder(spec.model, "--model", self.title, KINDS)
        check_target(Path(model))
        speculation = spec.speculation
        support = self.support(speculation.method, build)
        if not support.supported:
            raise UsageError(f"TGI cannot speculate by {speculation.method!r}: {support.note}")
        if speculation.synthetic is not None:
            raise UsageError("TGI accepts by what the target says only: no --synthetic-acceptance")
        if speculation.method not in WITH_DRAFT:
            return model
        if speculation.draft_model is None:
            raise UsageError(
                f"method {speculation.method} needs --draft-model: {Need.MEDUSA_HEADS.value}"
            )
        heads = model_folder(speculation.draft_model, "--draft-model", self.title, KINDS)
        check_heads(Path(heads), Path(model), speculation.draft_tokens or 0)
        return heads

    def served_name(self, spec: LaunchSpec, build: Build) -> str:
        return self._folder(spec, build)

    def listening(self, place: Place, build: Build) -> list[str]:
        socket = str(place.scratch / "shard")
        where = ["--hostname", HOST, "--port", str(place.port)]
        return [*where, "--shard-uds-path", socket]

    def kept_variables(self, build: Build) -> Mapping[str, str]:
        return environment(build)

    def inherited(self) -> dict[str, str]:
        return {name: os.environ[name] for name in COUNTING if name in os.environ}

    async def is_ours(self, place: Place, spec: LaunchSpec, timeout_s: float) -> bool | None:
        # Its health page generates a token once the model is up.
        if await page(place, "/health", timeout_s) is None:
            return None
        said = await page(place, "/info", timeout_s)
        return said is not None and Path(str(said.get("model_id"))).name == Path(place.name).name

    async def unlike(
        self, place: Place, spec: LaunchSpec, server: EndpointServer, log: Path
    ) -> str | None:
        """No page tells; its log begins with what it was told."""
        told = _TOLD.search(read_end(log))
        if told is None:
            return None
        length = None if told[1] is None else int(told[1])
        asked = spec.speculation.draft_tokens
        if length == asked:
            return None
        return f"asked for {asked or 'no'} draft tokens, but its log tells of {length or 'none'}"
