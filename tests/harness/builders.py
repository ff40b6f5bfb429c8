"""Records with known figures, for tests of whatever reads a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from harness.machine.bandwidth import Bandwidth
from harness.machine.fingerprint import Machine
from harness.models.facts import ModelFacts
from harness.models.read import ModelFile
from harness.models.vocabulary import Vocabulary
from harness.records import (
    Arm,
    Launch,
    Manifest,
    ModelInfo,
    Probe,
    PromptInfo,
    RunnerInfo,
    Sample,
    Session,
)
from harness.run_folder import RunData
from harness.suite import Suite

MODEL = "models/target.gguf"
DRAFT = "models/draft.gguf"
PLAIN_TOKENS = tuple((7 * index + index**2) % 1009 for index in range(64))
"""An answer that does not repeat itself."""

OF_THE_MANIFEST = {"prompts", "runners"}
"""Fields that the suite has too, by the same name and with another meaning."""

MACHINE = Machine(
    system="Linux 6.1 x86_64",
    python="3.11.7",
    cpu="A Processor",
    cores=4,
    threads=8,
    last_level_cache_bytes=32_000_000,
    memory_bytes=32_000_000_000,
    virtual=False,
    bandwidth=Bandwidth(
        bytes_per_s=100e9, readings=(99e9, 100e9), threads=4, buffer_bytes=1_000_000_000
    ),
)


def make_facts(**changes: object) -> ModelFacts:
    """1 GB of weights a token, 10 kB of KV cache a token."""
    values = {
        "format": "gguf",
        "architecture": "llama",
        "name": "Target",
        "quantization": "Q8_0",
        "parameters": 1_000_000_000,
        "tensor_bytes": 1_000_000_000,
        "active_bytes": 1_000_000_000,
        "layers": 16,
        "vocabulary": 1009,
        "training_context": 4096,
        "kv_bytes_per_token": 10_000,
    }
    return ModelFacts.model_validate({**values, **changes})


def make_model_file(path: Path | str, **facts: object) -> ModelFile:
    """What the header of a model file says, without the file; nothing is known of its tokens."""
    unknown = Vocabulary(Path(path), None, 0, None, None, None, None, None)
    return ModelFile(Path(path), make_facts(**facts), unknown)


def make_arm(method: str = "none", draft_tokens: int | None = None, **changes: object) -> Arm:
    """An arm of llama.cpp whose plain arm is 'none'."""
    values = {
        "id": method if draft_tokens is None else f"{method}-k{draft_tokens}",
        "runner": "llama.cpp",
        "model": MODEL,
        "method": method,
        "draft_tokens": draft_tokens,
        "draft_model": DRAFT if method == "draft-model" else None,
        "baseline": "none",
    }
    return Arm.model_validate({**values, **changes})


def make_sample(arm: Arm, **changes: object) -> Sample:
    """65 tokens at 50 tok/s: 64 of them after the first burst; 40 of a prompt, none cached."""
    speculates = arm.method != "none"
    values = {
        "arm": arm.id,
        "round": 1,
        "workload": "coding",
        "prompt": "p1",
        "max_tokens": 128,
        "launch": f"r1-{arm.id}",
        "sequence": 0,
        "started_at": "2026-01-01T00:00:00Z",
        "status": "ok",
        "prompt_tokens": 40,
        "cached_tokens": 0,
        "output_tokens": 65,
        "finish_reason": "stop",
        "wall_s": 1.5,
        "ttft_s": 0.1,
        "decode_s": 1.28,
        "first_burst_tokens": 1,
        "decode_rate": 50.0,
        "tpot_s": 0.02,
        "runner_prefill_s": 0.08,
        # 32 decode steps that yield 64 tokens: tau 2; 96 drafted, 48 of them accepted.
        "drafted": 96 if speculates else None,
        "accepted": 48 if speculates else None,
        "steps": 33 if speculates else None,
        "accepted_per_position": (24, 16, 8) if speculates else None,
        "tokens": PLAIN_TOKENS,
        "text_sha256": hashlib.sha256(b"an answer").hexdigest(),
        "machine_cpu_s": 3.0,
        "runner_cpu_s": 2.9,
        "runner_peak_memory": 1_200_000_000,
    }
    return Sample.model_validate({**values, **changes})


def make_samples(
    arm: Arm,
    rates: Sequence[float],
    *,
    prompts: Sequence[str] = ("p1",),
    workload: str = "coding",
    max_tokens: int = 128,
    change: Callable[[Sample], Sample] = lambda sample: sample,
) -> list[Sample]:
    """One sample for each rate: `prompts` of round 1, then of round 2, …"""
    return [
        change(
            make_sample(
                arm,
                round=1 + index // len(prompts),
                prompt=prompts[index % len(prompts)],
                workload=workload,
                max_tokens=max_tokens,
                launch=f"r{1 + index // len(prompts)}-{arm.id}",
                decode_rate=rate,
                tpot_s=1 / rate,
            )
        )
        for index, rate in enumerate(rates)
    ]


def make_launch(arm: Arm, number: int = 1, **changes: object) -> Launch:
    values = {
        "id": f"r{number}-{arm.id}",
        "arm": arm.id,
        "round": number,
        "started_at": "2026-01-01T00:00:00Z",
        "status": "ok",
        "log": f"logs/r{number}-{arm.id}.log",
        "command": f"llama-server -m {MODEL} --spec-type {arm.method}",
        "start_s": 2.0,
    }
    return Launch.model_validate({**values, **changes})


def make_manifest(arms: Sequence[Arm], samples: Iterable[Sample], **changes: object) -> Manifest:
    """Plans what the samples hold."""
    samples = list(samples)
    places = dict.fromkeys((sample.workload, sample.prompt) for sample in samples)
    model = {"path": MODEL, "sha256": "ab" * 32, "size": 1_000_000_000, "facts": make_facts()}
    draft = {**model, "path": DRAFT, "facts": make_facts(active_bytes=100_000_000)}
    suite = {
        "name": "a-run",
        "seed": 3,
        "repeats": max((sample.round for sample in samples), default=1),
        "max_tokens": tuple(dict.fromkeys(sample.max_tokens for sample in samples)) or (128,),
    }
    asked = {
        key: changes.pop(key) for key in set(changes) & set(Suite.model_fields) - OF_THE_MANIFEST
    }
    values = {
        "decodebench": "0.1.0",
        "created_at": "2026-01-01T00:00:00Z",
        "command": ("bench", "sweep"),
        "suite": {**suite, **asked},
        "context": 4096,
        "arms": tuple(arms),
        "prompts": tuple(
            PromptInfo(workload=workload, id=prompt, kind="code", sha256="cd" * 32)
            for workload, prompt in places or [("coding", "p1")]
        ),
        "runners": (
            RunnerInfo(
                name="llama.cpp",
                version="b9999",
                where="/usr/bin/llama-server",
                acceptance_source="/metrics",
                devices=("CPU: A Processor",),
            ),
        ),
        "models": (ModelInfo.model_validate(model), ModelInfo.model_validate(draft)),
        "machine": MACHINE,
        "fingerprint": "ef" * 32,
    }
    return Manifest.model_validate({**values, **changes})


def make_run(
    arms: Sequence[Arm],
    samples: Iterable[Sample],
    *,
    launches: Iterable[Launch] | None = None,
    probes: Iterable[Probe] = (),
    **changes: object,
) -> RunData:
    """A finished run of one session: 100 s, of which 40 loaded, 59 waited and 1 was the harness's.

    Samples get the sequence in which they are given; `changes` go to the manifest.
    """
    numbered = [
        sample.model_copy(update={"sequence": index}) for index, sample in enumerate(samples)
    ]
    return RunData(
        manifest=make_manifest(arms, numbered, **changes),
        launches=tuple(map(make_launch, arms) if launches is None else launches),
        samples=tuple(numbered),
        sessions=(
            Session(
                started_at="2026-01-01T00:00:00Z", wall_s=100.0, loading_s=40.0, waiting_s=59.0
            ),
        ),
        probes=tuple(probes),
    )


def make_probe(sample: Sample, at: int, *logprobs: float, **changes: object) -> Probe:
    """Plain decoding asked after `at` tokens of its answer: its own next token, then -1, -2, …

    Where its answer ends there, token 1000000 stands for the end of the text.
    """
    tokens = sample.tokens or ()
    written = ",".join(map(str, tokens[:at]))
    ids = (tokens[at] if at < len(tokens) else 1_000_000, *range(-1, -len(logprobs), -1))
    values = {
        "arm": "none",
        "workload": sample.workload,
        "prompt": sample.prompt,
        "prefix": at,
        "prefix_sha256": hashlib.sha256(written.encode()).hexdigest(),
        "log": "logs/probe-none.log",
        "top": tuple(zip(ids, logprobs, strict=False)) or None,
    }
    return Probe.model_validate({**values, **changes})
