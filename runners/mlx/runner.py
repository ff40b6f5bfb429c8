"""The runner 'mlx': mlx-lm in a process and an environment of its own."""

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
from runners.base.packaging import Packaging
from runners.base.process import log_tail
from runners.base.speculation import METHODS, PLAIN
from runners.base.support import MethodSupport, Need
from runners.mlx.options import METHOD, canonical, launch_of
from runners.mlx.package import DISTRIBUTION, Package, command, describe, environment


class Mlx:
    """Plain decoding, and mlx-lm's draft models with every proposal counted."""

    name = "mlx"
    packagings = (Packaging.MLX, Packaging.HF)
    attached = False

    def __init__(self, program: str | None = None) -> None:
        """`program`: the Python of the environment; None: of the one that is found here."""
        self._program = program

    def find(self) -> Found | Missing:
        package = describe(self._program)
        if isinstance(package, Missing):
            return package
        return Found(
            version=f"mlx-lm {package.version}, mlx {package.mlx}",
            where=package.python,
            methods=tuple(_support(method, package) for method in METHODS),
            acceptance_source="mlx-lm's from_draft, and the draft model's passes counted",
            devices=package.devices,
        )

    def _package(self) -> Package:
        package = describe(self._program)
        if isinstance(package, Missing):
            raise package.error
        return package

    def check(self, spec: LaunchSpec) -> None:
        launch_of(spec, self._package())

    def canonical(self, option: str) -> str:
        return canonical(option)

    def needed_options(
        self, method: str, draft_tokens: Sequence[int]
    ) -> tuple[tuple[str, OptionValue], ...]:
        return ()

    def applies(self, option: str, method: str) -> bool:
        return True

    def reproduce(self, spec: LaunchSpec) -> str:
        launch = launch_of(spec, self._package())
        arguments = [f"{name}={value}" for name, value in launch.options.items()]
        lines = [
            "from mlx_lm import load, stream_generate",
            f"model, tokenizer = load({launch.model!r})",
        ]
        if launch.draft is not None:
            lines.append(f"draft, _ = load({launch.draft!r})")
            arguments += ["draft_model=draft", f"num_draft_tokens={launch.draft_tokens}"]
        lines += [
            'ask = [{"role": "user", "content": input("prompt: ")}]',
            "prompt = tokenizer.apply_chat_template(ask, add_generation_prompt=True)",
            f"settings = dict({', '.join(['max_tokens=256', *arguments])})",
            "for part in stream_generate(model, tokenizer, prompt, **settings):",
            '    print(part.text, end="", flush=True)',
        ]
        return "\n".join(lines)

    async def start(self, spec: LaunchSpec, log: Path, timeout_s: float) -> GeneratorClient:
        package = self._package()
        launch = launch_of(spec, package)
        return await start_generator(
            [*command(package.python), json.dumps(asdict(launch))],
            spec.speculation.method,
            log=log,
            timeout_s=timeout_s,
            why=why,
            env=environment(),
        )


def _support(method: str, package: Package) -> MethodSupport:
    if method == PLAIN:
        return MethodSupport(method, True)
    if method == METHOD:
        note = "not on models with recurrent layers"
        return MethodSupport(method, True, note, needs=(Need.DRAFT_MODEL,))
    if method == "mtp" and package.mtp:
        return MethodSupport(
            method,
            False,
            f"{DISTRIBUTION} {package.version} has something of it ({', '.join(package.mtp[:3])}) "
            "that this runner does not know yet",
        )
    return MethodSupport(method, False, f"not supported by {DISTRIBUTION} {package.version}")


def why(log: Path) -> str | None:
    """The error in the child's log; None: there is none."""
    lines = log_tail(log, lines=60).splitlines()
    errors = [match[1] for line in lines if (match := re.match(r"E (.+)", line))]
    return errors[-1] if errors else None
