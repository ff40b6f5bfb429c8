"""The Ollama that a launch uses: a program to start, or a server that runs already."""

from __future__ import annotations

import functools
import http.client
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from runners.base.contract import Missing, RunnerError, UsageError
from runners.base.exchange import public_url
from runners.base.question import ask
from runners.llama_cpp.binary_build import kept_variables
from runners.ollama.connection import connect
from runners.ollama.version import Version

ADVICE = "install Ollama (ollama.com/download), or name its binary or its address with --ollama"
ASKING_S = 30.0
LOOK_S = 5.0
PLACES = ("OLLAMA_LIBRARY_PATH", "OLLAMA_LLM_LIBRARY", "OLLAMA_RUNNERS_DIR", "OLLAMA_TMPDIR")
"""Variables that say where parts of Ollama lie, and nothing of how it decodes."""
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
NOBODY = "127.0.0.1:1"
"""Where no server answers: `ollama --version` tells the version of one that does instead."""
_VERSION = re.compile(r"version is v?(\S+)")


@dataclass(frozen=True)
class Build:
    """One of the two is None."""

    version: Version
    path: str | None
    """Of the program."""
    address: str | None
    """Of the server, without a slash at its end."""

    @property
    def own(self) -> bool:
        """Whether bench starts the server, and so chooses its environment and reads its log."""
        return self.path is not None

    @property
    def where(self) -> str:
        return self.path or self.address or ""


def is_address(program: str | None) -> bool:
    return program is not None and program.startswith(("http://", "https://"))


def describe(program: str | None) -> Build | Missing:
    """What a program or an address says of itself; None: `ollama` on PATH."""
    if program is not None and is_address(program):
        try:
            public_url(program, "name the address alone")
        except UsageError as error:
            return Missing(str(error), "give the address of an Ollama: http://127.0.0.1:11434")
        return _describe_server(program.rstrip("/"))
    wanted = os.path.expanduser(program or "ollama")  # noqa: PTH111 - a name must stay a name
    found = shutil.which(wanted)
    if found is None:
        what = f"there is no program {program}" if program else "Ollama is not installed here"
        return Missing(what, ADVICE)
    path = str(Path(found).absolute())
    return _describe_program(path, Path(path).stat().st_mtime_ns)


@functools.cache
def _describe_program(path: str, _changed: int) -> Build | Missing:
    try:
        answer = ask(
            [path, "--version"], env=environment({"OLLAMA_HOST": NOBODY}), timeout_s=ASKING_S
        )
    except RunnerError as error:
        return Missing(f"{path} {error}", ADVICE)
    # 'Warning: could not connect …', then 'Warning: client version is 0.33.0'.
    found = _VERSION.search(answer.out + answer.errors)
    if found is None:
        said = (answer.errors.strip() or answer.out.strip()).splitlines()[-1:] or ["nothing"]
        return Missing(f"{path} --version tells no version of Ollama: {said[0][:200]}", ADVICE)
    return Build(Version(found[1]), path, None)


def _describe_server(address: str) -> Build | Missing:
    try:
        with connect(address, LOOK_S) as (connection, prefix):
            connection.request("GET", f"{prefix}/api/version")
            answer = connection.getresponse()
            body = answer.read(1 << 16)
        version = str(json.loads(body)["version"])
    except UsageError as error:
        return Missing(str(error), "give the address of an Ollama, such as http://127.0.0.1:11434")
    except (OSError, http.client.HTTPException) as error:
        return Missing(f"nobody answers at {urlsplit(address).netloc}: {error}", ADVICE)
    except (ValueError, LookupError, TypeError, RecursionError):
        return Missing(f"what answers at {urlsplit(address).netloc} is no Ollama", ADVICE)
    if not version.isprintable():
        return Missing(f"what answers at {urlsplit(address).netloc} tells no version", ADVICE)
    return Build(Version(version[:60]), None, address)


def environment(settings: dict[str, str]) -> dict[str, str]:
    """This process's, without what sets options behind the plan's back, and with `settings`.

    Without proxies as well: nothing is fetched, and Ollama writes their addresses, which may hold
    a password, into its log.
    """
    kept = {
        name: value
        for name, value in kept_variables().items()
        if (name in PLACES or not name.startswith("OLLAMA_")) and name.lower() not in PROXIES
    }
    return kept | {"NO_COLOR": "1"} | settings
