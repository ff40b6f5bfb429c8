"""The server inside the xllamacpp wheel, in a process of its own."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from runners.base.contract import Found, LaunchSpec, Missing, StartError
from runners.base.process import Process
from runners.base.speculation import METHODS, PLAIN
from runners.base.support import MethodSupport
from runners.llama_cpp.fields import EnumName, Field, fields
from runners.llama_cpp.log import why
from runners.llama_cpp.methods import METHODS as LLAMA_METHODS
from runners.llama_cpp.options import canonical
from runners.llama_cpp.reproduce import reproduce
from runners.llama_cpp.wheel_build import CHILD, describe


class Embedded:
    """The build that `pip install "decodebench[llama-cpp]"` brings."""

    def find(self) -> Found | Missing:
        build = describe()
        if build.version is None:
            return Missing(
                "the Python package xllamacpp (llama.cpp's server as a wheel) is not installed",
                'install it: pip install "decodebench[llama-cpp]"',
            )
        if build.problem is not None:
            return Missing(
                f"xllamacpp {build.version} is installed but does not load: {build.problem}",
                "install it again: pip install --force-reinstall xllamacpp",
            )
        return Found(
            version=f"b{build.version.rpartition('.')[2]} (xllamacpp {build.version})",
            where="embedded",
            methods=tuple(_support(method) for method in METHODS),
            acceptance_source="timings of each response; positions from /metrics",
            devices=build.devices,
        )

    def canonical(self, option: str) -> str:
        return canonical(option)

    def check(self, spec: LaunchSpec) -> None:
        fields(spec)

    def reproduce(self, spec: LaunchSpec) -> str:
        return reproduce(spec)

    async def launch(self, spec: LaunchSpec, log: Path, timeout_s: float) -> tuple[Process, str]:
        # -P: a file of the user's folder must not take the place of a module.
        settings = json.dumps([_plain(field) for field in fields(spec)])
        process = await Process.start([sys.executable, "-P", "-m", CHILD, settings], log=log)
        try:
            address = await process.read_address(timeout_s)
        except StartError as error:
            await process.stop()
            reason = f"{error}: {why(log) or 'its log tells no reason'}"
            raise StartError(reason, error.log_tail) from None
        except BaseException:
            await process.stop()
            raise
        process.stop_listening()
        return process, address


def _support(method: str) -> MethodSupport:
    if method in LLAMA_METHODS:
        return LLAMA_METHODS[method].support(method)
    return MethodSupport(method, method == PLAIN, "" if method == PLAIN else "not in llama.cpp")


def _plain(field: Field) -> tuple[str, object]:
    """A field as JSON for the child."""
    value = field.value
    if isinstance(value, tuple):
        return field.path, [asdict(v) if isinstance(v, EnumName) else v for v in value]
    return field.path, asdict(value) if isinstance(value, EnumName) else value
