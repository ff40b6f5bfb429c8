"""The runner 'sglang': SGLang's server as a command, in whatever environment it lives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from runners.base.contract import LaunchSpec, Missing, UsageError
from runners.base.failure import Manner
from runners.base.model_files import model_folder
from runners.base.support import MethodSupport
from runners.endpoint.launched import Build, Launch, LaunchedServer
from runners.endpoint.place import HOST, Place, page, serves
from runners.endpoint.server import EndpointServer
from runners.sglang.build import describe, environment
from runners.sglang.methods import METHODS, applies, simulated, speculating, support_of

KINDS = "Hugging Face"
REQUESTS = 4
"""At a time. bench sends one; the more it prepares for, the more memory and start-up time."""
LOOK_S = 30.0

OURS = {
    "model-path": "--model",
    "host": "bench: it listens on 127.0.0.1",
    "port": "bench",
    "served-model-name": "bench",
    "api-key": "bench: nobody else can reach the server",
    "admin-api-key": "bench: nobody else can reach the server",
    "random-seed": "--seed",
    "config": "--runner-arg, each of its options",
    "disable-radix-cache": "bench: a cached prompt would not be measured",
    "enable-hierarchical-cache": "bench: a cached prompt would not be measured",
    "enable-metrics": "bench",
    "enable-cache-report": "bench",
    "sampling-defaults": "bench: every runner samples alike",
    "stream-interval": "bench: tokens are timed as they come",
    "speculative-algorithm": "--method",
    "speculative-draft-model-path": "--draft-model",
    "speculative-num-steps": "--draft-tokens",
    "speculative-num-draft-tokens": "--draft-tokens",
    "speculative-dflash-block-size": "--draft-tokens",
    "speculative-dspark-block-size": "--draft-tokens",
    "speculative-adaptive": "--draft-tokens: it would change the length as it goes",
    "speculative-adaptive-config": "--draft-tokens: it would change the length as it goes",
    "speculative-eagle-topk": "bench: draft tokens are a chain, or their number would not compare",
    "ssl-keyfile": "bench: it speaks plain HTTP to 127.0.0.1",
    "ssl-certfile": "bench: it speaks plain HTTP to 127.0.0.1",
    "smg-grpc-mode": "bench: it speaks plain HTTP to 127.0.0.1",
    "grpc-mode": "bench: it speaks plain HTTP to 127.0.0.1",
}
"""What sets it instead."""


class Sglang(LaunchedServer):
    """One SGLang."""

    name = "sglang"
    title = "SGLang"
    ours = OURS
    manner = Manner(
        # '[2026-10-01 12:00:00 TP0] ' before the words of its own messages.
        prefix=re.compile(r"^\[\d{4}-\d\d-\d\d [\d:.,]+[^\]]*\] (?:\w+ hit an exception: )?"),
        vague=("Rank 0 scheduler is dead", "Initialization failed", "Received sigquit"),
    )

    def describe(self) -> Build | Missing:
        return describe(self._program)

    def support(self, method: str, build: Build) -> MethodSupport:
        return support_of(method, build)

    def applies(self, option: str, method: str) -> bool:
        return applies(option, method)

    def launch(self, spec: LaunchSpec, build: Build, config: str) -> Launch:
        model = model_folder(spec.model, "--model", self.title, KINDS)
        options = {self.canonical(name): value for name, value in spec.options}
        given = [word for name, value in options.items() for word in self.words(name, value, build)]
        words = ["--model-path", model]
        for name, text in _own(spec):
            if name not in options and build.help.has(name):
                words += [f"--{name}", text] if text else [f"--{name}"]
        speculation = spec.speculation
        variables: dict[str, str] = {}
        if speculation.is_plain:
            for name in options:
                if not applies(name, speculation.method):
                    raise UsageError(f"SGLang's {name} means nothing to plain decoding")
        else:
            if speculation.draft_model is not None:
                model_folder(speculation.draft_model, "--draft-model", self.title, KINDS)
            words += speculating(speculation, model, list(options), build)
            variables = simulated(speculation)
        return Launch((*words, *given), variables)

    def listening(self, place: Place, build: Build) -> list[str]:
        return ["--served-model-name", place.name, "--host", HOST, "--port", str(place.port)]

    def kept_variables(self, build: Build) -> Mapping[str, str]:
        return environment()

    def inherited(self) -> dict[str, str]:
        return {n: text for n, text in environment().items() if n.startswith("SGLANG_")}

    async def is_ours(self, place: Place, spec: LaunchSpec, timeout_s: float) -> bool | None:
        return await serves(place, timeout_s)

    async def unlike(
        self, place: Place, spec: LaunchSpec, server: EndpointServer, log: Path
    ) -> str | None:
        said = await page(place, "/server_info", LOOK_S)
        if said is None:  # before 0.5
            said = await page(place, "/get_server_info", LOOK_S)
        if said is None or "speculative_algorithm" not in said:
            return None
        chosen, asked = said["speculative_algorithm"], spec.speculation
        if asked.is_plain:
            return None if chosen is None else f"asked for plain decoding, but it runs {chosen}"
        own = METHODS[asked.method]
        if chosen not in own.names:
            return f"asked for {asked.method} ({own.algorithm}), but it runs {chosen or 'without'}"
        width = said.get("speculative_num_draft_tokens")
        if isinstance(width, int) and width - 1 != asked.draft_tokens:
            return f"asked for {asked.draft_tokens} draft tokens, but it makes {width - 1}"
        return None


def _own(spec: LaunchSpec) -> list[tuple[str, str]]:
    """What every launch has, where the build knows it and the user does not say otherwise."""
    return [
        ("context-length", str(spec.context)),
        ("random-seed", str(spec.seed)),
        ("max-running-requests", str(REQUESTS)),
        ("disable-radix-cache", ""),
        # Defaults of the model's own, such as a repetition penalty, would be SGLang's alone.
        ("sampling-defaults", "openai"),
        ("enable-metrics", ""),
        ("enable-cache-report", ""),
        # A line for each request would drown what it says of itself.
        ("log-level-http", "warning"),
    ]
