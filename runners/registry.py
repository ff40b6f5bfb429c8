"""Every runner by its name. A new runner is one new file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from runners.base.contract import Runner, UsageError
from runners.base.spelling import known_names
from runners.endpoint.runner import Endpoint
from runners.llama_cpp.choose import llama_cpp
from runners.llama_cpp_python.runner import LlamaCppPython
from runners.mlx.choose import mlx
from runners.mock import MockRunner
from runners.ollama.runner import Ollama
from runners.openvino.runner import OpenVino
from runners.sglang.runner import Sglang
from runners.tensorrt_llm.runner import TensorRtLlm
from runners.tgi.runner import Tgi
from runners.vllm.runner import Vllm

KINDS: dict[str, Callable[[str | None], Runner]] = {
    "llama.cpp": llama_cpp,
    "llama-cpp-python": lambda program: _without_program(LlamaCppPython(), program),
    "mlx": mlx,
    "vllm": Vllm,
    "ollama": Ollama,
    "openvino": lambda program: _without_program(OpenVino(), program),
    "sglang": Sglang,
    "tgi": Tgi,
    "tensorrt-llm": TensorRtLlm,
    "endpoint": Endpoint,
    "mock": lambda program: _without_program(MockRunner(), program),
}
"""Name -> what makes the runner of one program (a binary, a command, a URL); None: what is found
here."""


def make_runner(kind: str, program: str | None = None, api_key_env: str | None = None) -> Runner:
    """The runner of this kind; `api_key_env` names the variable with the key of an endpoint.

    Raises:
        UsageError: there is no such kind, or it has no programs to choose from, or no key.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown runner {kind!r}; {known_names(kind, KINDS)}")
    if api_key_env is None:
        return KINDS[kind](program)
    if kind != "endpoint":
        raise UsageError(f"the runner {kind} takes no key")
    return Endpoint(program, api_key_env)


def _without_program(runner: Runner, program: str | None) -> Runner:
    if program is not None:
        raise UsageError(f"the runner {runner.name} has no program to name, but {program!r} is")
    return runner


RUNNERS: dict[str, Runner] = {kind: make_runner(kind) for kind in KINDS}
"""Every kind as it is found here."""
