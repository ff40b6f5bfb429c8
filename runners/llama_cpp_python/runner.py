"""The runner 'llama-cpp-python': `llama_cpp.Llama` in a process of its own."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from runners.base.contract import (
    Found,
    LaunchSpec,
    Missing,
    OptionValue,
)
from runners.base.generator_client import GeneratorClient, start_generator
from runners.base.model_files import refuse_folders
from runners.base.packaging import Packaging
from runners.base.process import log_tail
from runners.base.speculation import METHODS, PLAIN
from runners.base.support import MethodSupport
from runners.llama_cpp_python.options import METHOD, NGRAM_SIZE, canonical, launch_of
from runners.llama_cpp_python.package import CHILD, DISTRIBUTION, describe

NOTES = {
    PLAIN: "",
    METHOD: "prompt lookup, with the n-gram's longest size as max_ngram_size",
}


class LlamaCppPython:
    """Plain decoding, and the package's prompt lookup with every proposal counted."""

    name = DISTRIBUTION
    packagings = (Packaging.GGUF,)
    attached = False

    def find(self) -> Found | Missing:
        package = describe()
        if package.version is None:
            return Missing(
                f"the Python package {DISTRIBUTION} is not installed",
                f'install it: pip install "decodebench[{DISTRIBUTION}]" '
                "(it is compiled on the spot, which takes about ten minutes)",
            )
        if package.problem is not None:
            return Missing(
                f"{DISTRIBUTION} {package.version} is installed but does not load: "
                f"{package.problem}",
                f"build it again: pip install --force-reinstall --no-cache-dir {DISTRIBUTION}",
            )
        return Found(
            version=package.version,
            where="in a process of its own",
            methods=tuple(
                MethodSupport(method, True, NOTES[method])
                if method in NOTES
                else MethodSupport(method, False, f"not in {DISTRIBUTION}")
                for method in METHODS
            ),
            acceptance_source="counted where the package asks its lookup for drafts",
            devices=package.devices,
        )

    def check(self, spec: LaunchSpec) -> None:
        found = self.find()
        if isinstance(found, Missing):
            raise found.error
        refuse_folders(spec, DISTRIBUTION)
        launch_of(spec, describe())

    def canonical(self, option: str) -> str:
        return canonical(option)

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        return ()

    def applies(self, option: str, method: str) -> bool:
        return canonical(option) != NGRAM_SIZE or method != PLAIN

    def reproduce(self, spec: LaunchSpec) -> str:
        launch = launch_of(spec, describe())
        arguments = [f"{name}={value!r}" for name, value in launch.arguments.items()]
        lines = ["from llama_cpp import Llama"]
        if launch.lookup is not None:
            lookup = ", ".join(f"{name}={value}" for name, value in launch.lookup.items())
            lines.append("from llama_cpp.llama_speculative import LlamaPromptLookupDecoding")
            arguments.append("logits_all=True")
            arguments.append(f"draft_model=LlamaPromptLookupDecoding({lookup})")
        lines += [
            f"llm = Llama({', '.join(arguments)})",
            'ask = [{"role": "user", "content": input("prompt: ")}]',
            "for part in llm.create_chat_completion(ask, temperature=0, stream=True):",
            '    print(part["choices"][0]["delta"].get("content", ""), end="", flush=True)',
        ]
        return "\n".join(lines)

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> GeneratorClient:
        self.check(spec)
        launch = launch_of(spec, describe())
        settings = json.dumps({"arguments": launch.arguments, "lookup": launch.lookup})
        # -P: a file of the user's folder must not take the place of a module.
        return await start_generator(
            [sys.executable, "-P", "-m", CHILD, settings],
            spec.speculation.method,
            log=log,
            timeout_s=timeout_s,
            why=why,
        )


def why(log: Path) -> str | None:
    """The first and the last error in the child's log, cause and effect; None: no error."""
    lines = log_tail(log, lines=60).splitlines()
    errors = [match[1] for line in lines if (match := re.match(r"E (.+)", line))]
    return "; ".join(dict.fromkeys(errors[:1] + errors[-1:])) or None
