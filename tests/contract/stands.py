"""The runners that the contract is held against: the mock, and the real ones that are here."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from runners.base.contract import LaunchSpec, OptionValue, Server
from runners.base.speculation import PLAIN, PLAIN_DECODING, WITH_DRAFT, Speculation
from runners.registry import make_runner
from tests.contract.setting import (
    ACCEPTED,
    ALL,
    COUNTERS,
    COUNTS,
    DRAFTED,
    IDS,
    NEXT,
    POSITIONS,
    PROMPT_TOKENS,
    STEPS,
    Setting,
    Stand,
    environment,
)
from tests.live.builds import llama_server, program_of, why_absent
from tests.live.half_precision import write_half
from tests.live.not_built import environment_of, why_not
from tests.models.export import Family
from tests.runners.endpoint.programs import install, model_folder
from tests.runners.ollama.conftest import fake_program
from tests.runners.ollama.fake_ollama import Faults

CONTEXT = 1024
K = 3
OLLAMA = ALL - {IDS, COUNTERS, POSITIONS}
OLLAMA_DRAFTING = ALL - {IDS, DRAFTED, ACCEPTED, STEPS}
"""What an answer of Ollama's does not tell its llama-server counts."""


def _address(server: Server) -> str | None:
    address = getattr(server, "_address", None)
    return None if address is None else str(address)


# ---- mock --------------------------------------------------------------------------------------


def _mock(name: str, speculation: Speculation) -> Stand:
    @contextlib.contextmanager
    def make(family: Family, folder: Path) -> Iterator[Setting]:
        options: tuple[tuple[str, OptionValue], ...] = (("step-ms", 2), ("prefill-ms", 2))
        spec = LaunchSpec(None, speculation, options)
        yield Setting(make_runner("mock"), spec, drafts=not speculation.is_plain)

    return Stand(f"mock-{name}", make)


# ---- llama.cpp ---------------------------------------------------------------------------------


def _llama_cpp(build: str, name: str, speculation: Speculation) -> Stand:
    @contextlib.contextmanager
    def make(family: Family, folder: Path) -> Iterator[Setting]:
        options: tuple[tuple[str, OptionValue], ...] = (("threads", 1), ("threads-batch", 1))
        model = family.qwen3 if speculation.is_plain else family.qwen35_mtp
        drafts = not speculation.is_plain
        with environment(XDG_CACHE_HOME=str(folder)):
            yield Setting(
                make_runner("llama.cpp", program_of(build)),
                LaunchSpec(model, speculation, options, CONTEXT),
                drafts=drafts,
                tells=ALL - {NEXT} if drafts else ALL,
                missing=None if drafts else LaunchSpec(folder / "none.gguf", context=CONTEXT),
                pages=_address,
            )

    return Stand(f"{build}-{name}", make, why_absent(build), live=True)


def _llama_cpp_python(name: str, speculation: Speculation) -> Stand:
    @contextlib.contextmanager
    def make(family: Family, folder: Path) -> Iterator[Setting]:
        options: tuple[tuple[str, OptionValue], ...] = (("n_threads", 1), ("n_threads_batch", 1))
        # Without flash attention its text depends on how many tokens a batch has.
        options = (*options, ("flash_attn", "on"))
        drafts = not speculation.is_plain
        yield Setting(
            make_runner("llama-cpp-python"),
            LaunchSpec(family.qwen3, speculation, options, CONTEXT),
            drafts=drafts,
            missing=None if drafts else LaunchSpec(folder / "none.gguf", context=CONTEXT),
        )

    absent = None if importlib.util.find_spec("llama_cpp") else why_not("llama-cpp-python")
    return Stand(f"llama-cpp-python-{name}", make, absent, live=True)


def _ollama(name: str, speculation: Speculation, *, real: bool) -> Stand:
    """The real one where it is installed; what answers like it has a real llama-server behind."""
    absent = None if shutil.which("ollama") else "ollama is not on PATH"

    @contextlib.contextmanager
    def make(family: Family, folder: Path) -> Iterator[Setting]:
        options: tuple[tuple[str, OptionValue], ...] = (("num_thread", 1), ("num_gpu", 0))
        model = family.qwen3 if speculation.is_plain else family.qwen35_mtp
        program = None
        if not real:
            program = fake_program(folder / "bin", Faults(llama_server=str(llama_server())))
        with environment(XDG_CACHE_HOME=str(folder)):
            yield Setting(
                make_runner("ollama", program),
                LaunchSpec(model, speculation, options, CONTEXT),
                drafts=not speculation.is_plain,
                tells=OLLAMA if speculation.is_plain else OLLAMA_DRAFTING,
            )

    if real:
        return Stand(f"ollama-{name}", make, absent, live=True)
    return Stand(f"ollama-stand-in-{name}", make, why_absent("llama-server"), live=True)


def _openvino(name: str, drafts: bool) -> Stand:
    @contextlib.contextmanager
    def make(family: Family, folder: Path) -> Iterator[Setting]:
        model = write_half(family.qwen3, folder / "target.gguf")
        speculation = PLAIN_DECODING
        if drafts:
            draft = write_half(family.draft, folder / "draft.gguf")
            speculation = Speculation("draft-model", K, draft)
        options: tuple[tuple[str, OptionValue], ...] = (
            ("threads", 1),
            ("INFERENCE_PRECISION_HINT", "f32"),
            ("KV_CACHE_PRECISION", "f32"),
        )
        with environment(XDG_CACHE_HOME=str(folder)):
            yield Setting(
                make_runner("openvino"),
                LaunchSpec(model, speculation, options, CONTEXT),
                drafts=drafts,
                missing=None if drafts else LaunchSpec(folder / "none.gguf", context=CONTEXT),
            )

    absent = None if importlib.util.find_spec("openvino_genai") else why_not("openvino-genai")
    return Stand(f"openvino-{name}", make, absent, live=True)


# ---- programs that cannot be had here ------------------------------------------------------------


def _stand_in(kind: str, name: str, method: str, tells: frozenset[str]) -> Stand:
    """A program that answers as SGLang, TGI or TensorRT-LLM are said to: nothing real of them."""

    @contextlib.contextmanager
    def make(family: Family, folder: Path) -> Iterator[Setting]:
        model, draft = model_folder(folder / "model"), model_folder(folder / "draft")
        speculation = PLAIN_DECODING
        if method != PLAIN:
            speculation = Speculation(method, K, draft if method in WITH_DRAFT else None)
        faults = json.dumps({"step_s": 0.005})
        with environment(XDG_CACHE_HOME=str(folder), FAKE_PROGRAM=faults):
            yield Setting(
                make_runner(kind, install(kind.replace("-", "_"), folder / "program")),
                LaunchSpec(model, speculation, (), CONTEXT),
                drafts=method != PLAIN,
                tells=frozenset({PROMPT_TOKENS}) | tells,
            )

    return Stand(f"{kind}-stand-in-{name}", make)


# ---- environments of their own ------------------------------------------------------------------


def _mlx(name: str, drafts: bool) -> Stand:
    python = environment_of("mlx")

    @contextlib.contextmanager
    def make(family: Family, folder: Path) -> Iterator[Setting]:
        speculation = PLAIN_DECODING
        if drafts:
            speculation = Speculation("draft-model", K, family.draft_hf)
        yield Setting(
            make_runner("mlx", python),
            LaunchSpec(family.qwen3_hf, speculation, (), CONTEXT),
            drafts=drafts,
            missing=None if drafts else LaunchSpec(folder / "none", context=CONTEXT),
        )

    return Stand(f"mlx-{name}", make, None if python else why_not("mlx"), live=True)


def _vllm() -> Stand:
    """One launch alone: each takes half a minute."""
    python = environment_of("vllm")

    @contextlib.contextmanager
    def make(family: Family, folder: Path) -> Iterator[Setting]:
        options: tuple[tuple[str, OptionValue], ...] = (
            ("dtype", "float32"),
            ("enforce-eager", True),
            ("distributed-executor-backend", "uni"),
        )
        with environment(
            VLLM_CPU_OMP_THREADS_BIND="nobind",
            OMP_NUM_THREADS="1",
            VLLM_ENABLE_V1_MULTIPROCESSING="0",
        ):
            yield Setting(
                make_runner("vllm", str(Path(str(python)).with_name("vllm"))),
                LaunchSpec(family.qwen35_mtp_hf, Speculation("mtp", K), options, CONTEXT),
                drafts=True,
                pages=_address,
            )

    return Stand("vllm-mtp", make, None if python else why_not("vllm"), live=True)


MOCKS = (_mock("plain", PLAIN_DECODING), _mock("mtp", Speculation("mtp", K)))
LIBRARIES = (
    _llama_cpp_python("plain", PLAIN_DECODING),
    _llama_cpp_python("ngram", Speculation("ngram", K)),
    _mlx("plain", drafts=False),
    _mlx("draft-model", drafts=True),
    _openvino("plain", drafts=False),
    _openvino("draft-model", drafts=True),
)
SERVERS = tuple(
    stand(name, speculation)
    for stand in (
        functools.partial(_llama_cpp, "embedded"),
        functools.partial(_llama_cpp, "llama-server"),
        functools.partial(_ollama, real=False),
        functools.partial(_ollama, real=True),
    )
    for name, speculation in (("plain", PLAIN_DECODING), ("mtp", Speculation("mtp", K)))
)
STAND_INS = (
    _stand_in("sglang", "plain", PLAIN, frozenset({COUNTS, STEPS})),
    _stand_in("sglang", "eagle3", "eagle3", frozenset({DRAFTED, ACCEPTED, STEPS})),
    _stand_in("tgi", "plain", PLAIN, frozenset({COUNTS, COUNTERS})),
    _stand_in("tgi", "ngram", "ngram", frozenset({COUNTERS})),
    _stand_in("tensorrt-llm", "plain", PLAIN, frozenset({COUNTS, COUNTERS})),
    _stand_in("tensorrt-llm", "eagle3", "eagle3", frozenset({COUNTERS})),
)
SLOW = (_vllm(),)
