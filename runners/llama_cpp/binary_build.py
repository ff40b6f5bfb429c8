"""What one llama-server binary can do, asked of the binary itself and kept on disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from runners.base.contract import Missing, RunnerError, UsageError
from runners.base.process import describe_exit
from runners.llama_cpp.help import Flag, Help, parse_devices, parse_help, parse_version

SCHEMA = 1
"""Of the files in the cache; one of another schema is asked anew."""
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
    """What the program says of itself; from the cache where the file is the same as then.

    Raises:
        UnusableError: there is no such program, or it is no llama-server that runs here.
    """
    path = locate(program)
    try:
        stamp = _stamp(path)
    except OSError as error:
        raise UnusableError(f"{path} cannot be read: {error.strerror}", ADVICE) from None
    return _describe(path, stamp)


@functools.lru_cache(maxsize=64)
def _describe(path: Path, stamp: str) -> BinaryBuild:
    entry = _cache_folder() / f"{hashlib.sha256(stamp.encode()).hexdigest()[:24]}.json"
    if (kept := _read(entry, path, stamp)) is not None:
        return kept
    try:
        flags = parse_help(_ask(path, "--help", keep_errors=False))
    except UsageError as error:
        raise UnusableError(f"{path} is no llama-server: {error}", ADVICE) from None
    # Older builds write their version to standard error.
    version = parse_version(_ask(path, "--version", keep_errors=True))
    build = BinaryBuild(path, version or "of unknown version", flags)
    _write(entry, build, stamp)
    return build


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
    path = Path(program).expanduser().absolute()
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


def environment() -> dict[str, str]:
    """This process's, without the variables that set options behind the plan's back."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LLAMA_ARG_", "LLAMA_LOG_"))
        and name not in ("LLAMA_API_KEY", "LLAMA_CHAT_TEMPLATE_KWARGS")
    }
    # Builds before May 2026 tell neither time nor severity of a line without these two.
    return ours | {"LLAMA_LOG_PREFIX": "1", "LLAMA_LOG_TIMESTAMPS": "1", "NO_COLOR": "1"}


def _ask(path: Path, question: str, *, keep_errors: bool) -> str:
    """What the program answers to one of the flags that print something and end.

    Raises:
        UnusableError: it crashed, failed or hung.
    """
    try:
        result = subprocess.run(  # noqa: S603 - the program that the user named
            [str(path), question],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ASKING_S,
            check=False,
            env=environment(),
        )
    except OSError as error:
        raise UnusableError(f"{path} cannot be started: {error.strerror}", ADVICE) from None
    except subprocess.TimeoutExpired:
        raise UnusableError(f"{path} {question} had no end after {ASKING_S:g} s", ADVICE) from None
    out, errors = (text.decode(errors="replace") for text in (result.stdout, result.stderr))
    if result.returncode != 0:
        last = " / ".join(line.strip()[:200] for line in (errors or out).splitlines()[-3:])
        advice = ADVICE
        if result.returncode < 0:
            advice = NATIVE_ADVICE if "SIGILL" in describe_exit(result.returncode) else "rebuild it"
        elif "shared librar" in last or "Library not loaded" in last:
            advice = "its libraries must lie beside it, or where the system looks for libraries"
        reason = f"{path} {question} {describe_exit(result.returncode)}"
        raise UnusableError(f"{reason}: {last}" if last else reason, advice)
    return out + errors if keep_errors else out


# ---- the cache ---------------------------------------------------------------------------------


def _cache_folder() -> Path:
    """`$XDG_CACHE_HOME/decodebench/llama-server`; ~/.cache where the variable is not set."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return Path(base) / "decodebench" / "llama-server"


def _stamp(path: Path) -> str:
    """What changes when the build does: the file, and the libraries beside it."""
    real = path.resolve()
    state = real.stat()
    newest = 0
    with contextlib.suppress(OSError):
        for library in (*real.parent.glob("lib*.so*"), *real.parent.glob("lib*.dylib")):
            with contextlib.suppress(OSError):
                newest = max(newest, library.stat().st_mtime_ns)
    return f"{SCHEMA}|{real}|{state.st_mtime_ns}|{state.st_size}|{newest}"


def _read(entry: Path, path: Path, stamp: str) -> BinaryBuild | None:
    """A kept answer; None where there is none, or it is damaged or of another file."""
    try:
        kept = json.loads(entry.read_text(encoding="utf-8"))
        if (kept["schema"], kept["stamp"]) != (SCHEMA, stamp):
            return None
        flags = tuple(
            Flag(_texts(flag["spellings"]), _texts(flag["negative"]), _text(flag["value"]))
            for flag in kept["flags"]
        )
        return BinaryBuild(path, _text(kept["version"]), Help(flags))
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return tuple(_text(item) for item in value)


def _write(entry: Path, build: BinaryBuild, stamp: str) -> None:
    """Keep an answer; a cache that cannot be written is no reason to fail."""
    content = {
        "schema": SCHEMA,
        "stamp": stamp,
        "version": build.version,
        "flags": [asdict(flag) for flag in build.help.flags],
    }
    with contextlib.suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=entry.parent)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as file:
                json.dump(content, file)
            Path(name).replace(entry)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
