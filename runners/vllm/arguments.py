"""A launch as the arguments of `vllm serve`, in the words of one build."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.flag_words import flag_words, known_flag, option_text, unknown_option
from runners.base.model_files import model_folder
from runners.vllm.build import Build
from runners.vllm.methods import CONFIG, KEYS, config_of, key_of
from runners.vllm.methods import OURS as OUR_KEYS

KV_BYTES_PER_TOKEN = 256 * 1024
"""Of models up to 70 billion parameters; where it is too little, vLLM says how much it needs."""
LEAST_KV_BYTES = 1 << 30
KINDS = "Hugging Face"

OURS = {
    "model": "--model",
    "seed": "--seed",
    "host": "bench: it listens on 127.0.0.1",
    "port": "bench",
    "uds": "bench: it listens on 127.0.0.1",
    "served-model-name": "bench",
    "api-key": "bench: nobody else can reach the server",
    "speculative-config": "--method, --draft-tokens and --draft-model; its other keys are options "
    "such as speculative-config.prompt_lookup_max",
    "spec-method": "--method",
    "spec-model": "--draft-model",
    "spec-tokens": "--draft-tokens",
    "enable-prefix-caching": "bench: a cached prompt would not be measured",
    "generation-config": "bench: every runner samples alike",
    "override-generation-config": "bench: every runner samples alike",
    "enable-per-request-metrics": "bench",
    "per-request-spec-decode-metrics": "bench",
    "enable-prompt-tokens-details": "bench",
    "disable-log-stats": "bench: it reads them",
    "max-logprobs": "bench: near-ties are looked at by them",
    "logprobs-mode": "bench: near-ties are looked at by them",
    "config": "--runner-arg, each of its options",
    "ssl-keyfile": "bench: it speaks plain HTTP to 127.0.0.1",
    "ssl-certfile": "bench: it speaks plain HTTP to 127.0.0.1",
    "ssl-ca-certs": "bench: it speaks plain HTTP to 127.0.0.1",
    "root-path": "bench",
    "grpc": "bench: it speaks plain HTTP to 127.0.0.1",
    "headless": "bench: it speaks plain HTTP to 127.0.0.1",
    "hf-token": "nothing: bench looks nothing up in the network, and keeps no secrets",
}
"""What sets it instead."""


def canonical(option: str) -> str:
    """vLLM's own name without dashes in front: 'max_model_len' -> 'max-model-len'.

    Keys of the speculative configuration say where they belong:
    'prompt_lookup_max' -> 'speculative-config.prompt_lookup_max'.
    """
    name = option.strip().lstrip("-")
    prefix, dot, key = name.partition(".")
    if dot and prefix.replace("_", "-") in (CONFIG, "sc"):
        return f"{CONFIG}.{key.replace('-', '_')}"
    if not dot and name.replace("-", "_") in KEYS:
        return f"{CONFIG}.{name.replace('-', '_')}"
    return f"{prefix.replace('_', '-')}{dot}{key}"


def canonical_in(build: Build, option: str) -> str:
    """As `canonical`, with a short spelling replaced by the flag's first long one."""
    name = canonical(option)
    flag = build.help.flag(name)
    return name if flag is None else flag.name


def arguments_of(spec: LaunchSpec, build: Build) -> list[str]:
    """What follows the build's words, without host, port and name.

    Raises:
        UsageError: no model folder, or a method, an option or a value that the build lacks.
    """
    model = model_folder(spec.model, "--model", "vLLM", KINDS)
    options = {canonical_in(build, name): value for name, value in spec.options}
    keys = {key: value for name, value in options.items() if (key := key_of(name)) is not None}
    for key in keys:
        if key in OUR_KEYS:
            raise UsageError(f"vLLM's {CONFIG}.{key} is set by {OUR_KEYS[key]}")
    flags = {name: value for name, value in options.items() if key_of(name) is None}
    given = [word for name, value in flags.items() for word in _words(name, value, build)]
    arguments = [model] if build.takes_model_first else ["--model", model]
    arguments += _own(spec, flags, build)
    if not spec.speculation.is_plain:
        if spec.speculation.draft_model is not None:
            model_folder(spec.speculation.draft_model, "--draft-model", "vLLM", KINDS)
        arguments += [f"--{CONFIG}", json.dumps(config_of(spec.speculation, keys, build))]
    elif keys:
        raise UsageError(f"vLLM's {CONFIG}.{min(keys)} means nothing to plain decoding")
    return [*arguments, *given]


def _own(spec: LaunchSpec, given: Mapping[str, OptionValue], build: Build) -> list[str]:
    """What every launch has, where the build knows it and the user does not say otherwise."""
    wanted: list[tuple[str, str]] = [
        ("max-model-len", str(spec.context)),
        ("seed", str(spec.seed)),
        # Defaults of the model's own, such as a repetition penalty, would be vLLM's alone.
        ("generation-config", "vllm"),
        ("enable-per-request-metrics", ""),
        ("enable-prompt-tokens-details", ""),
    ]
    if not spec.speculation.is_plain:
        wanted.append(("per-request-spec-decode-metrics", "summary"))
    sized = "VLLM_CPU_KVCACHE_SPACE" in os.environ or "gpu-memory-utilization" in given
    if build.cpu and not sized:
        # Its default is nearly all of the memory, which on a busy machine it does not get.
        size = max(LEAST_KV_BYTES, spec.context * KV_BYTES_PER_TOKEN)
        wanted.append(("kv-cache-memory-bytes", str(size)))
    words: list[str] = []
    for name, value in wanted:
        if name not in given and build.help.has(name):
            words += [f"--{name}", value] if value else [f"--{name}"]
    prefixes = build.help.flag("enable-prefix-caching")
    if prefixes is not None and prefixes.negative is not None:
        words.append(prefixes.negative)
    return words


def _words(name: str, value: OptionValue, build: Build) -> list[str]:
    """One option of the user's as arguments.

    Raises:
        UsageError: the build has no such option, or it is not the user's to set.
    """
    flag = known_flag(name, build.help, OURS, "vLLM")
    if flag is not None:
        return flag_words(name, value, flag, "vLLM")
    root = known_flag(name.partition(".")[0], build.help, OURS, "vLLM")
    if root is not None and "." in name:  # --compilation-config.mode 0
        return [f"--{name}", option_text(value)]
    known = [each.name for each in build.help.flags if each.name not in OURS]
    raise unknown_option(name, [*known, *KEYS], f"vLLM {build.version}")
