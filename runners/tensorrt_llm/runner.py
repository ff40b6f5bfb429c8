"""The runner 'tensorrt-llm': trtllm-serve, with a configuration file for each launch."""

from __future__ import annotations

import asyncio
import os
import re
import time
from pathlib import Path

from runners.base.contract import (
    LaunchSpec,
    Message,
    Missing,
    OptionValue,
    Request,
    UsageError,
)
from runners.base.failure import Manner
from runners.base.model_files import model_folder
from runners.base.stream import fetch
from runners.base.support import MethodSupport
from runners.endpoint.launched import Build, Launch, LaunchedServer
from runners.endpoint.place import HOST, Place, serves
from runners.endpoint.server import EndpointServer
from runners.tensorrt_llm.build import describe
from runners.tensorrt_llm.config import KEYS, MOVED, SECTIONS, Config, put, value_of, yaml_of
from runners.tensorrt_llm.methods import CONFIG, METHODS, config_of, support_of
from runners.tensorrt_llm.methods import OURS as OUR_KEYS

KINDS = "Hugging Face"
REQUESTS = 4
"""At a time. bench sends one; the more it prepares for, the more memory and start-up time."""
NAME_FLAG = "served_model_name"
COUNTED_S = 5.0
"""How long its counters may lag: they are read off each iteration, by a task of their own."""
LOOK_S = 30.0
ANOTHER = Request((Message("user", "Count from one to twenty."),), max_tokens=16)
"""Of the counters some versions show a request only when the next one is served."""
_SPECULATING = re.compile(r"^trtllm_speculative_config_info\{([^}]*)\}", re.MULTILINE)
_LABEL = re.compile(r'spec_num_tokens="(\d+)"')

OURS = {
    "host": "bench: it listens on 127.0.0.1",
    "port": "bench",
    NAME_FLAG: "bench",
    "config": "--runner-arg, each of its keys, such as kv_cache_config.dtype=fp8",
    "extra_llm_api_options": "--runner-arg, each of its keys",
    "server_role": "bench",
    "metadata_server_config_file": "bench",
    "disagg_cluster_uri": "bench",
    "grpc": "bench: it speaks plain HTTP to 127.0.0.1",
    "revision": "bench: it measures folders, and looks nothing up",
    "hf_revision": "bench: it measures folders, and looks nothing up",
    "help": "nothing: it only prints",
}
"""What sets it instead."""
OUR_CONFIG = {
    "kv_cache_config.enable_block_reuse": "bench: a cached prompt would not be measured",
    "kv_cache_config.enable_partial_reuse": "bench: a cached prompt would not be measured",
    "enable_iter_perf_stats": "bench: it reads them",
    "return_perf_metrics": "bench: it reads them",
    "perf_metrics_max_requests": "bench",
    "stream_interval": "bench: tokens are timed as they come",
    **{f"{CONFIG}.{key}": owner for key, owner in OUR_KEYS.items()},
}
"""Keys of the configuration file that are not the user's to set."""


class TensorRtLlm(LaunchedServer):
    """One trtllm-serve."""

    name = "tensorrt-llm"
    title = "TensorRT-LLM"
    ours = OURS
    keys = (*KEYS, *(f"{section}." for section in SECTIONS))
    manner = Manner(
        # '[10/01/2026-12:00:00] [TRT-LLM] [RANK 0] [E] ' and what of it there is.
        prefix=re.compile(
            r"^(?:\[[\d/:\- .]+\] )?(?:\[(?:TRT-LLM|TensorRT-LLM|RANK \d+|[A-Z])\] ?)*"
        ),
        vague=("Executor worker returned error", "MPI_ABORT", "Failed to initialize executor"),
    )

    def describe(self) -> Build | Missing:
        return describe(self._program)

    def support(self, method: str, build: Build) -> MethodSupport:
        return support_of(method, build)

    def plain_name(self, option: str) -> str:
        return option.strip().lstrip("-").replace("-", "_")

    def canonical(self, option: str) -> str:
        name = super().canonical(option)
        return MOVED.get(name, name)

    def applies(self, option: str, method: str) -> bool:
        if not option.startswith(f"{CONFIG}."):
            return True
        if option.startswith((f"{CONFIG}.max_matching_ngram", f"{CONFIG}.is_")):
            return method == "ngram"
        return method in METHODS

    def launch(self, spec: LaunchSpec, build: Build, config: str) -> Launch:
        model = model_folder(spec.model, "--model", self.title, KINDS)
        options = {self.canonical(name): value for name, value in spec.options}
        content = self._content(spec, options, build)
        words = [model]
        for name, text in (
            ("backend", "pytorch"),
            ("max_batch_size", str(REQUESTS)),
            ("max_seq_len", str(spec.context)),
        ):
            if name not in options and build.help.has(name):
                words += [f"--{name}", text]
        for name, value in options.items():
            if not _in_file(name, build):
                words += self.words(name, value, build)
        flag = "config" if build.help.has("config") else "extra_llm_api_options"
        return Launch((*words, f"--{flag}", config), config=yaml_of(content))

    def _content(self, spec: LaunchSpec, options: dict[str, OptionValue], build: Build) -> Config:
        """The configuration file.

        Raises:
            UsageError: it cannot speculate so, or a key is not the user's to set.
        """
        content: Config = {
            "kv_cache_config": {"enable_block_reuse": False},
            "enable_iter_perf_stats": True,
            "return_perf_metrics": True,
        }
        speculation = spec.speculation
        if not speculation.is_plain:
            if speculation.draft_model is not None:
                model_folder(speculation.draft_model, "--draft-model", self.title, KINDS)
            content[CONFIG] = {**config_of(speculation, build)}
            if METHODS[speculation.method].alone:
                content["disable_overlap_scheduler"] = True
        for name, value in options.items():
            if not _in_file(name, build):
                continue
            if name in OUR_CONFIG:
                raise UsageError(f"TensorRT-LLM's {name} is set by {OUR_CONFIG[name]}")
            if not self.applies(name, speculation.method):
                raise UsageError(f"TensorRT-LLM's {name} means nothing to {speculation.method!r}")
            put(content, name, value_of(value))
        return content

    def served_name(self, spec: LaunchSpec, build: Build) -> str:
        if build.help.has(NAME_FLAG):
            return super().served_name(spec, build)
        # Older ones call a folder by its name.
        return Path(model_folder(spec.model, "--model", self.title, KINDS)).name

    def listening(self, place: Place, build: Build) -> list[str]:
        named = [f"--{NAME_FLAG}", place.name] if build.help.has(NAME_FLAG) else []
        return [*named, "--host", HOST, "--port", str(place.port)]

    def inherited(self) -> dict[str, str]:
        return {
            name: text for name, text in os.environ.items() if name.startswith(("TRTLLM_", "TLLM_"))
        }

    async def is_ours(self, place: Place, spec: LaunchSpec, timeout_s: float) -> bool | None:
        return await serves(place, timeout_s)

    async def unlike(
        self, place: Place, spec: LaunchSpec, server: EndpointServer, log: Path
    ) -> str | None:
        asked = spec.speculation
        reply = await fetch(f"{place.root}/prometheus/metrics", timeout_s=LOOK_S)
        told = _SPECULATING.search(reply.body.decode(errors="replace"))
        if told is not None:
            if asked.is_plain:
                return "asked for plain decoding, but it says that it speculates"
            length = _LABEL.search(told[1])
            if length is not None and int(length[1]) != asked.draft_tokens:
                return f"asked for {asked.draft_tokens} draft tokens, but it makes {length[1]}"
        if asked.is_plain or not METHODS[asked.method].needs:
            return None
        return await _drafts_nothing(server, asked.method)


async def _drafts_nothing(server: EndpointServer, method: str) -> str | None:
    """That requests leave the counter of drafts at 0; None where it counts, or there is none."""
    async for _ in server.stream(ANOTHER):
        pass
    deadline = time.monotonic() + COUNTED_S
    while True:
        counters = await server.counters()
        if counters is None or counters.drafted is None or counters.drafted > 0:
            return None
        if time.monotonic() > deadline:
            return f"asked for {method}, but it drafted nothing in two requests"
        await asyncio.sleep(COUNTED_S / 20)


def _in_file(name: str, build: Build) -> bool:
    section, dot, _ = name.partition(".")
    if dot:
        return section in SECTIONS
    return not build.help.has(name) and (name in KEYS or name in OUR_CONFIG)
