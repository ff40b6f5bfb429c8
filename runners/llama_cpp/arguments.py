"""A launch as the arguments of one build of llama-server, which has its own names for options."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

from runners.base.contract import LaunchSpec, OptionValue, UsageError
from runners.base.option_text import switch
from runners.base.speculation import Speculation
from runners.base.spelling import nearest
from runners.llama_cpp.help import Flag, Help
from runners.llama_cpp.methods import METHODS
from runners.llama_cpp.options import SHARED, SPELLINGS, canonical, launch_options

DEFAULTS = frozenset({"parallel", "ctx-size", "metrics", "no-cache-prompt", "cache-ram"})
"""Options that every launch sets unless the user does."""
WHERE_KNOWN = frozenset({"metrics", "no-cache-prompt", "cache-ram"})
"""Those of them that a build may lack: requests switch the prompt cache off by themselves."""
NOT_FOR_A_LAUNCH = frozenset(
    {
        *("help", "version", "cache-list", "completion-bash", "list-devices"),
        *("log-disable", "log-file", "log-colors", "log-jsonl", "no-log-prefix"),
        *("verbosity", "log-verbosity", "log-prompts-dir"),
        *("no-slots", "slots", "api-key", "api-key-file", "ssl-key-file", "ssl-cert-file"),
        *("mcp-servers-config", "mcp-servers-json", "ui-config", "webui-config"),
        *("api-prefix", "reuse-port", "sleep-idle-seconds", "hf-token", "hf-repo", "hf-file"),
        *("model-url", "docker-repo", "spec-draft-hf", "hf-repo-draft", "models-dir"),
        *("models-preset", "embedding", "rerank", "mmproj", "mmproj-url", "model-vocoder"),
        *("hf-repo-v", "hf-file-v"),
    }
)
"""Options that print something and end, hide what is read, serve something else, or are secret."""
PRESET = re.compile(r".+-(default|spec)")
"""How options are named that stand for a model to download with options of its own, or for a way
of speculating."""
LOAD_MODES = {"no-mmap": "none", "mlock": "mmap+mlock"}
"""Switches that became values of --load-mode in 2026."""


@dataclass(frozen=True)
class Dialect:
    """How one build of llama-server names methods and options."""

    version: str
    help: Help

    @property
    def label(self) -> str:
        return f"llama-server {self.version}"

    # ---- methods -------------------------------------------------------------------------------

    @property
    def drafts_without_type(self) -> bool:
        """Whether a draft model alone switches drafting on: until June 2026 it had no type."""
        no_type = "draft-simple" not in self.help.spec_types
        return no_type and self._flag_of("spec-draft-model")[0] is not None

    def lacks(self, method: str) -> str | None:
        """Why the build cannot speculate by one of our methods; None where it can."""
        if method not in METHODS:
            return "not in llama.cpp"
        kind = METHODS[method].spec_type
        if kind in self.help.spec_types or (kind == "draft-simple" and self.drafts_without_type):
            return None
        return f"not in this build ({self.version}): it has {self._has()}"

    def _has(self) -> str:
        kinds = [name for name, method in METHODS.items() if self._has_type(method.spec_type)]
        return ", ".join(kinds) or "no way to speculate"

    def _has_type(self, kind: str) -> bool:
        return kind in self.help.spec_types or (kind == "draft-simple" and self.drafts_without_type)

    def _types(self, speculation: Speculation) -> list[str]:
        """What is passed as `--spec-type`.

        Raises:
            UsageError: a method or the chain is not in this build.
        """
        for part in speculation.parts:
            if (reason := self.lacks(part)) is not None:
                raise UsageError(f"{self.label} cannot speculate by {part}: {reason}")
        types = [METHODS[part].spec_type for part in speculation.parts]
        types = [kind for kind in types if kind in self.help.spec_types]
        if len(types) > 1 and not self.help.chains_types:
            raise UsageError(
                f"{self.label} cannot chain {speculation.method}: its --spec-type takes one type"
            )
        return types

    # ---- options -------------------------------------------------------------------------------

    def canonical(self, option: str) -> str:
        """Today's long name where it has one; else this build's first long name."""
        name = option.strip().lstrip("-").replace("_", "-")
        flag = self.help.flag(name)
        if flag is None:
            return canonical(name)
        side = flag.negative if flag.switches_off(name) else flag.spellings
        for spelling in (word.lstrip("-") for word in side):
            if spelling in SPELLINGS or canonical(spelling) != spelling:
                return canonical(spelling)
        return _long(side).lstrip("-")

    def arguments(self, spec: LaunchSpec) -> list[str]:
        """Everything after the program but for the address.

        Raises:
            UsageError: a method, an option or a value that this build does not have.
        """
        options = tuple((self.canonical(name), value) for name, value in spec.options)
        given = {name for name, _ in options}
        if refused := sorted(n for n in given if n in NOT_FOR_A_LAUNCH or PRESET.fullmatch(n)):
            raise UsageError(f"bench cannot launch llama-server with {', '.join(refused)}")
        argv = ["--model", str(spec.model)]
        slots = self.help.flag("slots")
        if slots is not None and not slots.negative:  # Off by itself in builds of 2025.
            argv.append("--slots")
        types = [] if spec.speculation.is_plain else self._types(spec.speculation)
        wanted = self._shared_cap(spec, launch_options(replace(spec, options=options)))
        chosen: dict[str, tuple[str, list[str]]] = {}
        for name, value in wanted.items():
            if name == "spec-type":
                found = [("--spec-type", ["--spec-type", ",".join(types)])] if types else []
            elif name in WHERE_KNOWN - given and not self._flag_of(name)[0]:
                found = []
            else:
                found = list(self._option(name, value))
            for flag, written in found:
                other, before = chosen.get(flag, (name, written))
                if before != written and other not in DEFAULTS:
                    raise UsageError(
                        f"{other} and {name} are one option of {self.label}, {flag}: "
                        "give them one value"
                    )
                chosen[flag] = (name, written)
        return [*argv, *(word for _, written in chosen.values() for word in written)]

    def _shared_cap(
        self, spec: LaunchSpec, options: dict[str, OptionValue]
    ) -> dict[str, OptionValue]:
        """With --draft-max, which in builds before April 2026 cuts the drafts of n-grams too."""
        cut = self.help.flag("spec-ngram-size-m") is not None
        if cut and any(name.endswith("-size-m") for name in options):
            assert spec.speculation.draft_tokens is not None
            options.setdefault("spec-draft-n-max", spec.speculation.draft_tokens)
        return options

    def _flag_of(self, name: str) -> tuple[Flag, str] | tuple[None, str]:
        """The flag that a canonical name means here, and the spelling that this build has of it."""
        for spelling in (name, *SPELLINGS.get(name, ()), *SHARED.get(name, ())):
            if (flag := self.help.flag(spelling)) is not None:
                return flag, spelling
        return None, name

    def _option(self, name: str, value: OptionValue) -> Iterator[tuple[str, list[str]]]:
        """(flag, arguments) of one option; nothing where the build is so anyway."""
        flag, spelling = self._flag_of(name)
        if flag is not None and not flag.is_switch:
            word = _word(flag, spelling)
            yield flag.name, [word, *self._values(flag, name, value)]
            return
        on = self._switch(name, value) if flag is not None else True
        if flag is None and name in LOAD_MODES and self.help.flag("load-mode"):
            if self._switch(name, value):
                yield "load-mode", ["--load-mode", LOAD_MODES[name]]
            return
        if flag is None:  # 'kv-offload' where only --no-kv-offload exists.
            spelling = name.removeprefix("no-") if name.startswith("no-") else f"no-{name}"
            flag = self.help.flag(spelling)
            if flag is None or not flag.is_switch:
                raise UsageError(self._unknown(name))
            on = not self._switch(name, value)
        if flag.switches_off(spelling):
            on = not on
            yield flag.name, [_word(flag, flag.name) if on else _word(flag, spelling)]
        elif on:
            yield flag.name, [_word(flag, spelling)]
        elif flag.negative:
            yield flag.name, [_long(flag.negative)]

    def _switch(self, name: str, value: OptionValue) -> bool:
        try:
            return switch(str(value))
        except ValueError as error:
            raise UsageError(f"{self.label}: {name} cannot be {value!r}: {error}") from None

    def _values(self, flag: Flag, name: str, value: OptionValue) -> list[str]:
        if isinstance(value, bool):  # Of a suite file: flash-attn = true.
            return [("on" if value else "off") if "on" in flag.value else str(int(value))]
        text = str(value)
        if flag.values == 1:
            # A list is written with slashes where commas mean something else: --runner-arg.
            is_list = "," in flag.value and "FNAME" not in flag.value
            return [text.replace("/", ",") if is_list and "," not in text else text]
        try:
            words = shlex.split(text)
        except ValueError:
            words = []
        if len(words) != flag.values:
            raise UsageError(f"{self.label}: {name} takes {flag.values} values: {flag.value!r}")
        return words

    def _unknown(self, name: str) -> str:
        known = [flag.name for flag in self.help.flags]
        known += [spelling.lstrip("-") for flag in self.help.flags for spelling in flag.negative]
        hint = nearest(name, known) or "its --help lists what it has"
        if name.startswith("spec-synth-"):
            hint = "synthetic acceptance came later"
        return f"{self.label} has no option {name!r}; {hint}"


def _word(flag: Flag, spelling: str) -> str:
    """A spelling with its dashes; a long one in the place of a short one."""
    side = flag.negative if flag.switches_off(spelling) else flag.spellings
    return f"--{spelling}" if f"--{spelling}" in side else _long(side)


def _long(side: tuple[str, ...]) -> str:
    return next((word for word in side if word.startswith("--")), side[0])
