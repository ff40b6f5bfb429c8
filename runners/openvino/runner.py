"""The runner 'openvino': OpenVINO GenAI's `LLMPipeline` in a process of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
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
from runners.base.support import MethodSupport, Need
from runners.openvino.options import DRAFT_MODEL, LOOKUP, NGRAM_SIZE, canonical, launch_of
from runners.openvino.package import DISTRIBUTION, Package, command, describe
from runners.openvino.reproduce import code_of

STARTING_S = 8.0
"""Measured with a GGUF file of 90 MB: unpacking and compiling its layers."""

SUPPORTED = {
    PLAIN: MethodSupport(PLAIN, True),
    DRAFT_MODEL: MethodSupport(
        DRAFT_MODEL, True, "at temperature 0 only", needs=(Need.DRAFT_MODEL,)
    ),
    LOOKUP: MethodSupport(
        LOOKUP, True, f"prompt lookup, with the n-gram's longest size as {NGRAM_SIZE}"
    ),
}
NOT_GGUF = ("mtp", "eagle3", "dflash")
"""Methods that OpenVINO GenAI has for models in its own format."""


class OpenVino:
    """Plain decoding, draft models and prompt lookup on GGUF files."""

    name = "openvino"
    packagings = (Packaging.GGUF,)
    attached = False

    def find(self) -> Found | Missing:
        package = describe()
        if package.version is None:
            return Missing(
                f"the Python package {DISTRIBUTION} is not installed",
                'install it: pip install "decodebench[openvino]"',
            )
        if package.problem is not None:
            return Missing(
                f"{DISTRIBUTION} is installed but does not load: {package.problem}",
                f"install it again: pip install --force-reinstall {DISTRIBUTION}",
            )
        return Found(
            version=f"{package.version} (OpenVINO {package.openvino})",
            where="in a process of its own",
            methods=tuple(SUPPORTED.get(method) or _unsupported(method) for method in METHODS),
            acceptance_source="OpenVINO GenAI's metrics of each answer; by lookup, only accepted",
            devices=package.devices,
            starting_s=STARTING_S,
        )

    def _package(self) -> Package:
        found = self.find()
        if isinstance(found, Missing):
            raise found.error
        return describe()

    def check(self, spec: LaunchSpec) -> None:
        package = self._package()
        refuse_folders(spec, DISTRIBUTION)
        launch_of(spec, package)

    def canonical(self, option: str) -> str:
        return canonical(option)

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        return ()

    def applies(self, option: str, method: str) -> bool:
        return canonical(option) != NGRAM_SIZE or method == LOOKUP

    def reproduce(self, spec: LaunchSpec) -> str:
        return code_of(launch_of(spec, self._package()))

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> GeneratorClient:
        self.check(spec)
        launch = launch_of(spec, describe())
        return await start_generator(
            [*command(), json.dumps(asdict(launch))],
            spec.speculation.method,
            log=log,
            timeout_s=timeout_s,
            why=why,
        )


def _unsupported(method: str) -> MethodSupport:
    if method in NOT_GGUF:
        return MethodSupport(method, False, f"{DISTRIBUTION} has it for models in its own format")
    return MethodSupport(method, False, f"not in {DISTRIBUTION}")


def why(log: Path) -> str | None:
    """The error in the child's log; None: there is none."""
    lines = log_tail(log, lines=60).splitlines()
    errors = [match[1] for line in lines if (match := re.match(r"E (.+)", line))]
    return errors[-1] if errors else None
