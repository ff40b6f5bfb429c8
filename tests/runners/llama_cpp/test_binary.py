"""Programs that are missing, broken or old, by a script that answers as a llama-server would.

It stands for help, version, crashes and ports only; the real one is driven in tests/live.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from runners.base import listening
from runners.base.contract import Found, LaunchSpec, Missing, StartError, UsageError
from runners.base.speculation import Speculation
from runners.llama_cpp import binary, binary_build
from runners.llama_cpp.binary import Binary
from runners.llama_cpp.choose import llama_cpp
from tests.runners.llama_cpp.generations import FOLDER

SCRIPT = """#!{python} -IS
import http.server, os, pathlib, signal, sys, time
here = pathlib.Path(__file__)
with here.with_name("asked").open("a") as asked:
    print(*sys.argv[1:], file=asked)
fault = here.with_name("fault").read_text()
if fault == "ill":
    print("loading the model", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGILL)
if fault == "library":
    sys.exit("llama-server: error while loading shared libraries: libllama.so.0: not there")
if sys.argv[1] == "--help":
    print(pathlib.Path({help!r}).read_text())
elif sys.argv[1] == "--version":
    print("version: 9093 (4e2a1f0)", file=sys.stderr)
elif sys.argv[1] == "--list-devices":
    print("Available devices:\\n  CUDA0: A card (80 MiB, 79 MiB free)")
else:
    names = ("LLAMA_ARG_THREADS", "LLAMA_LOG_FILE", "LLAMA_API_KEY", "AIP_MODE")
    assert not set(names) & set(os.environ), "the environment sets options"
    if fault == "ill-later":
        print("0.00.001.000 I load: amx", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGILL)
    if fault == "model":
        print("0.00.001.000 E load: there is no such model", file=sys.stderr)
        sys.exit(1)
    if fault == "hang":
        print("0.00.001.000 I srv: still loading", file=sys.stderr, flush=True)
        time.sleep(60)
    if fault == "silent":
        here.with_name("fault").write_text("")
        sys.exit(1)
    left = int(fault or 0)
    if left:
        here.with_name("fault").write_text(str(left - 1))
        print("0.00.001.000 E srv start: couldn't bind HTTP server socket", file=sys.stderr)
        sys.exit(1)
    loaded = time.monotonic() + 0.2
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if time.monotonic() > loaded else 503)
            self.end_headers()
    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""

SPEC = LaunchSpec(Path("/models/a model.gguf"), context=512)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    binary_build._describe.cache_clear()
    return tmp_path / "cache"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    return write_program(folder / "llama-server", "b9093")


def write_program(path: Path, generation: str, fault: str = "") -> Path:
    text = SCRIPT.replace("{python}", sys.executable)
    path.write_text(text.replace("{help!r}", repr(str(FOLDER / f"{generation}.txt"))))
    path.chmod(0o755)
    path.with_name("fault").write_text(fault)
    return path


def asked(program: Path) -> list[str]:
    return program.with_name("asked").read_text().splitlines()


def test_found_with_version_devices_and_methods(program: Path) -> None:
    found = llama_cpp(str(program)).find()
    assert isinstance(found, Found)
    assert (found.version, found.where) == ("b9093 (4e2a1f0)", str(program))
    assert found.devices == ("CUDA0: A card (80 MiB)",)
    supported = {support.method for support in found.methods if support.supported}
    ngrams = {"ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache"}
    assert supported == {"none", "draft-model", *ngrams}
    notes = {support.method: support.note for support in found.methods}
    assert "b9093" in notes["mtp"]
    assert "draft-model, ngram-simple" in notes["mtp"]
    assert notes["medusa"] == "not in llama.cpp"


def test_a_name_is_looked_up_on_path(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    found = Binary("llama-server").find()
    assert isinstance(found, Found)
    assert found.where == str(program)
    missing = Binary("no-such-llama-server").find()
    assert isinstance(missing, Missing)
    assert "no 'no-such-llama-server' on PATH" in missing.reason


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script passes for what it stands for: scripts are not kept."""
    monkeypatch.setattr(binary_build, "_is_script", lambda path: False)


@pytest.mark.usefixtures("compiled")
def test_asked_once_until_the_file_or_a_library_changes(
    program: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again() -> int:
        binary_build._describe.cache_clear()
        Binary(str(program)).check(SPEC)
        return asked(program).count("--help")

    assert again() == 1
    assert again() == 1
    os.utime(program, (1, 1))
    assert again() == 2
    library = program.with_name("libllama.so.0")
    library.write_text("")
    assert again() == 3
    os.utime(library, (5, 5))
    assert again() == 4
    installed = program.parent.parent / "lib"
    installed.mkdir()
    (installed / "libggml.so").write_text("")
    assert again() == 5
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "libllama.dylib").write_text("")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(elsewhere))
    assert again() == 6
    assert again() == 6
    assert len(list(cache.rglob("*.json"))) == 6
    assert not [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".json"]


def test_a_script_may_start_another_build_each_time(program: Path, cache: Path) -> None:
    for count in (1, 2):
        binary_build._describe.cache_clear()
        for _ in range(2):
            Binary(str(program)).check(SPEC)
        assert asked(program).count("--help") == count
    assert not cache.exists()


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", '{"schema": 1}', "[" * 100_000, '{"schema": 0, "stamp": "", "flags": []}'],
)
def test_a_damaged_cache_is_ignored(program: Path, cache: Path, damage: str) -> None:
    Binary(str(program)).check(SPEC)
    (entry,) = cache.rglob("*.json")
    kept = json.loads(entry.read_text())
    entry.write_text(damage)
    binary_build._describe.cache_clear()
    Binary(str(program)).check(SPEC)
    assert json.loads(entry.read_text()) == kept
    said = json.loads(kept["said"])
    said["flags"][0]["spellings"] = 5
    entry.write_text(json.dumps(kept | {"said": json.dumps(said)}))
    binary_build._describe.cache_clear()
    Binary(str(program)).check(SPEC)


@pytest.mark.usefixtures("compiled")
def test_a_cache_that_cannot_be_written_is_ignored(program: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert isinstance(Binary(str(program)).find(), Found)


@pytest.mark.parametrize(
    ("fault", "words", "advice"),
    [
        ("ill", "--help was killed by SIGILL: loading the model", "no-repack=on.*GGML_NATIVE=OFF"),
        ("library", "exited with status 1: .*shared libraries: libllama", "libraries must lie"),
    ],
)
def test_programs_that_do_not_answer(program: Path, fault: str, words: str, advice: str) -> None:
    program.with_name("fault").write_text(fault)
    missing = Binary(str(program)).find()
    assert isinstance(missing, Missing)
    with pytest.raises(UsageError, match=f"(?s){words}.*{advice}"):
        Binary(str(program)).check(SPEC)
    with pytest.raises(UsageError, match=words):
        Binary(str(program)).reproduce(SPEC)
    assert Binary(str(program)).canonical("-ngl") == "n-gpu-layers"
    assert asked(program) == ["--help"]


def test_one_that_hangs_is_asked_once(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary_build, "ASKING_S", 0.5)
    program.write_text('#!/bin/sh\necho $1 >> "$(dirname "$0")/asked"\nsleep 600\n')
    for _ in range(3):
        with pytest.raises(UsageError, match=r"--help had no end after 0\.5 s"):
            Binary(str(program)).check(SPEC)
    assert asked(program) == ["--help"]
    assert not psutil.Process().children(recursive=True)


def test_paths_that_are_no_llama_server(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("text")
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x7fELF\0\0 not really")
    garbage.chmod(0o755)
    for path, words in (
        (tmp_path / "none", "does not exist"),
        (tmp_path, "is a folder"),
        (plain, "cannot be executed"),
        (garbage, "cannot be started"),
        (Path("/bin/echo"), "is no llama-server"),
        (Path("~no-such-user/llama-server"), "does not exist"),
    ):
        missing = Binary(str(path)).find()
        assert isinstance(missing, Missing), path
        assert words in missing.reason
        with pytest.raises(UsageError, match=words):
            Binary(str(path)).check(SPEC)


def test_reproduce_is_the_command_line_of_this_build(program: Path) -> None:
    spec = LaunchSpec(SPEC.model, Speculation("ngram-mod", 4), (("ngl", 3),), context=512)
    line = Binary(str(program)).reproduce(spec)
    assert shlex.split(line) == [
        *(str(program), "--model", "/models/a model.gguf", "--parallel", "1"),
        *("--ctx-size", "512", "--metrics", "--no-cache-prompt", "--cache-ram", "0"),
        *("--spec-type", "ngram-mod", "--spec-ngram-mod-n-max", "4", "--n-gpu-layers", "3"),
    ]
    assert f"'{program}'" in line


def test_reproduce_writes_the_home_folder_out(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(program.parent))
    assert shlex.split(Binary("~/llama-server").reproduce(SPEC))[0] == str(program)


async def test_launch_waits_until_it_is_loaded(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LLAMA_ARG_THREADS", "LLAMA_LOG_FILE", "LLAMA_API_KEY", "AIP_MODE"):
        monkeypatch.setenv(name, "7")
    began = time.monotonic()
    process, address = await Binary(str(program)).launch(SPEC, tmp_path / "log", 30)
    try:
        assert time.monotonic() - began >= 0.2
        assert address.startswith("http://127.0.0.1:")
        port = address.rpartition(":")[2]
        assert asked(program)[-1].endswith(f"--host 127.0.0.1 --port {port}")
    finally:
        await process.stop()
    assert not psutil.Process().children(recursive=True)


async def test_a_port_that_was_taken_is_tried_again(program: Path, tmp_path: Path) -> None:
    program.with_name("fault").write_text("2")
    process, _ = await Binary(str(program)).launch(SPEC, tmp_path / "log", 30)
    await process.stop()
    assert len([line for line in asked(program) if "--port" in line]) == 3
    program.with_name("fault").write_text("3")
    with pytest.raises(StartError, match="3 free ports in a row"):
        await Binary(str(program)).launch(SPEC, tmp_path / "log", 30)
    assert not psutil.Process().children(recursive=True)


@pytest.mark.slow
async def test_a_port_that_was_taken_is_seen_where_the_log_is_silent(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free = listening.free_port()
        ports = [taken.getsockname()[1], free]
        monkeypatch.setattr(listening, "free_port", lambda: ports.pop(0))
        program.with_name("fault").write_text("silent")
        process, address = await Binary(str(program)).launch(SPEC, tmp_path / "log", 30)
        await process.stop()
    assert address.endswith(f":{free}")
    ports = [free]
    program.with_name("fault").write_text("silent")
    with pytest.raises(StartError, match="its log tells no reason"):
        await Binary(str(program)).launch(SPEC, tmp_path / "log", 30)


@pytest.mark.skipif(sys.platform != "linux", reason="other processes' sockets are hidden")
def test_a_port_that_two_servers_share_is_nobodys() -> None:
    code = (
        "import socket, sys\n"
        "s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
        "s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen()\n"
        "print(s.getsockname()[1], flush=True); input()\n"
    )

    def other(port: int) -> tuple[subprocess.Popen[str], int]:
        command = [sys.executable, "-c", code, str(port)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload]
        return process, int(process.stdout.readline())

    first, port = other(0)
    with first:
        assert binary._listens(first.pid, port)
        assert not binary._listens(first.pid, port + 1)
        second, _ = other(port)
        with second:
            assert not binary._listens(first.pid, port)
            assert not binary._listens(second.pid, port)
            second.kill()
        first.kill()


@pytest.mark.parametrize(
    ("fault", "limit_s", "words"),
    [
        ("model", 30, "exited with status 1: load: there is no such model"),
        ("ill-later", 30, "killed by SIGILL.*GGML_NATIVE=OFF.*load: amx"),
        ("hang", 0.6, "not ready in time.*still loading"),
    ],
)
async def test_starts_that_fail(
    program: Path, tmp_path: Path, fault: str, limit_s: float, words: str
) -> None:
    program.with_name("fault").write_text(fault)
    with pytest.raises(StartError, match=words) as caught:
        await Binary(str(program)).launch(SPEC, tmp_path / "log", limit_s)
    assert caught.value.log_tail
    assert not psutil.Process().children(recursive=True)
