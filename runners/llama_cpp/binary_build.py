"""What one llama-server binary can do, asked of the binary itself and kept on disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from runners.base.contract import Missing, RunnerError, UsageError
from runners.base.kept import keep, read_kept
from runners.base.process import describe_exit
from runners.base.question import ask
from runners.llama_cpp.help import Flag, Help, parse_devices, parse_help, parse_version

CACHE = "llama-server"
"""Where answers are kept."""
SCHEMA = 3
"""Of what is kept; under another one a build is asked anew."""
ASKING_S = 60.0
"""Limit for a question: a first start may read gigabytes of GPU libraries."""
ADVICE = "name a llama-server: a path, or a name on PATH"
NATIVE_ADVICE = (
    "it uses instructions that this processor lacks: try --runner-arg no-repack=on, or a build "
    "made with -DGGML_NATIVE=OFF"
)


class UnusableError(RunnerError):
    """A program that is missing, broken, or no llama-server."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.missing = Missing(reason, advice)


@dataclass(frozen=True)
class BinaryBuild:
    """A llama-server that answers."""

    path: Path
    """Absolute; symbolic links are left as the user wrote them."""
    version: str
    """'b9093 (4e2a1f0)', or what a build without a number says of itself."""
    help: Help


def describe(program: str) -> BinaryBuild:
    """What the program says of itself; of a file that is the same as then, from the cache.

    Raises:
        UnusableError: there is no such program, or it is no llama-server that runs here.
    """
    path = locate(program)
    try:
        stamp = _stamp(path)
    except OSError as error:
        raise UnusableError(f"{path} cannot be read: {error.strerror}", ADVICE) from None
    found = _describe(path, stamp)
    if isinstance(found, Missing):
        raise UnusableError(found.reason, found.advice)
    return found


@functools.lru_cache(maxsize=64)
def _describe(path: Path, stamp: str) -> BinaryBuild | Missing:
    """Failures are kept as well: a program that hangs would hang at every question."""
    try:
        return _ask_all(path) if _is_script(path) else _kept_or_asked(path, stamp)
    except UnusableError as error:
        return error.missing


def _kept_or_asked(path: Path, stamp: str) -> BinaryBuild:
    kept = read_kept(CACHE, stamp)
    if kept is not None and (build := _read(kept, path)) is not None:
        return build
    build = _ask_all(path)
    keep(CACHE, stamp, _written(build))
    return build


def _ask_all(path: Path) -> BinaryBuild:
    """What the program says now.

    Raises:
        UnusableError: as `describe`.
    """
    try:
        flags = parse_help(_ask(path, "--help", keep_errors=False))
    except UsageError as error:
        raise UnusableError(f"{path} is no llama-server: {error}", ADVICE) from None
    # Older builds write their version to standard error.
    version = parse_version(_ask(path, "--version", keep_errors=True))
    return BinaryBuild(path, version or "of unknown version", flags)


def _is_script(path: Path) -> bool:
    """Whether it starts another program, which may be another one tomorrow with the same script."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        return file.read(2) == b"#!"
    return False


def locate(program: str) -> Path:
    """The absolute path of a program; a name without a slash is looked up on PATH.

    Raises:
        UnusableError: it is not there, or cannot be executed.
    """
    if "/" not in program:
        found = shutil.which(program)
        if found is None:
            raise UnusableError(
                f"there is no {program!r} on PATH",
                "install llama.cpp, or give the path of its llama-server",
            )
        return Path(found).absolute()
    path = Path(os.path.expanduser(program)).absolute()  # noqa: PTH111 - pathlib's may raise
    if path.is_dir():
        raise UnusableError(f"{path} is a folder", "name the llama-server in it")
    if not path.exists():
        raise UnusableError(f"{path} does not exist", ADVICE)
    if not os.access(path, os.X_OK):
        raise UnusableError(f"{path} cannot be executed", f"make it executable: chmod +x {path}")
    return path


def devices(path: Path) -> tuple[str, ...]:
    """The devices that the build can use now; never from the cache: cards come and go.

    Raises:
        UnusableError: as `describe`.
    """
    return parse_devices(_ask(path, "--list-devices", keep_errors=False))


def kept_variables() -> dict[str, str]:
    """This process's, without those that set options of a llama-server behind the plan's back."""
    return {
        name: value
        for name, value in os.environ.items()
        # AIP_: a cloud's way to move the server to another port.
        if not name.startswith(("LLAMA_ARG_", "LLAMA_LOG_", "LLAMA_SERVER_", "AIP_"))
        and name not in ("LLAMA_API_KEY", "LLAMA_CHAT_TEMPLATE_KWARGS")
    }


def environment() -> dict[str, str]:
    """As `kept_variables`, with what a llama-server's log is read by."""
    # Builds before May 2026 tell neither time nor severity of a line without these two.
    return kept_variables() | {
        "LLAMA_LOG_PREFIX": "1",
        "LLAMA_LOG_TIMESTAMPS": "1",
        "NO_COLOR": "1",
    }


def _ask(path: Path, question: str, *, keep_errors: bool) -> str:
    """What the program answers to one of the flags that print something and end.

    Raises:
        UnusableError: it crashed, failed or hung.
    """
    try:
        answer = ask([str(path), question], env=environment(), timeout_s=ASKING_S)
    except RunnerError as error:
        raise UnusableError(f"{path} {question} {error}", ADVICE) from None
    out, errors = answer.out, answer.errors
    if answer.returncode != 0:
        last = " / ".join(line.strip()[:200] for line in (errors or out).splitlines()[-3:])
        advice = ADVICE
        if answer.returncode < 0:
            advice = NATIVE_ADVICE if "SIGILL" in describe_exit(answer.returncode) else "rebuild it"
        elif "shared librar" in last or "Library not loaded" in last:
            advice = "its libraries must lie beside it, or where the system looks for libraries"
        reason = f"{path} {question} {describe_exit(answer.returncode)}"
        raise UnusableError(f"{reason}: {last}" if last else reason, advice)
    return out + errors if keep_errors else out


# ---- the cache ---------------------------------------------------------------------------------


def _stamp(path: Path) -> str:
    """What changes when the build does: the file, and the libraries where it looks for them."""
    real = path.resolve()
    state = real.stat()
    named = [os.environ.get(name, "") for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")]
    others = [Path(folder) for folder in ":".join(named).split(":") if folder]
    libraries = []
    for folder in (real.parent, real.parent.parent / "lib", *others):
        with contextlib.suppress(OSError):
            for library in sorted((*folder.glob("lib*ggml*"), *folder.glob("lib*llama*"))):
                it = library.stat()
                libraries.append((str(library), it.st_mtime_ns, it.st_size))
    digest = hashlib.sha256(repr(libraries).encode()).hexdigest()[:16]
    return f"{SCHEMA}|{real}|{state.st_mtime_ns}|{state.st_size}|{digest}"


def _written(build: BinaryBuild) -> str:
    return json.dumps(
        {"version": build.version, "flags": [asdict(flag) for flag in build.help.flags]}
    )


def _read(said: str, path: Path) -> BinaryBuild | None:
    """A kept answer; None where it is damaged."""
    try:
        kept = json.loads(said)
        flags = tuple(
            Flag(_texts(flag["spellings"]), _texts(flag["negative"]), _text(flag["value"]))
            for flag in kept["flags"]
        )
        return BinaryBuild(path, _text(kept["version"]), Help(flags))
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return tuple(_text(item) for item in value)
