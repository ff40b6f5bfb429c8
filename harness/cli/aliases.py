"""Spellings that articles and other programs use, taken for the options that they mean here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

import typer

from harness.cli.errors import USAGE, complain


@dataclass(frozen=True)
class Alias:
    """One old spelling: its flag, the option that it means, and what the user is told."""

    flag: str
    option: str
    """Today's option, as the user writes it."""
    parameter: str
    """The parameter of the command that holds the option's value."""
    switch: str | None = None
    """The value that a flag without one stands for."""
    runner_arg: str | None = None
    """The name of the runner's option, where it is one."""
    note: str = ""
    several: bool = False
    """Whether the parameter is a list."""

    @property
    def name(self) -> str:
        """As a Python name."""
        return f"old_{self.flag.strip('-').replace('-', '_')}"

    def parameter_of_command(self) -> inspect.Parameter:
        """A hidden option of the command line."""
        kind: Any = bool if self.switch is not None else str | None
        return inspect.Parameter(
            self.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if self.switch is not None else None,
            annotation=Annotated[kind, typer.Option(self.flag, hidden=True)],
        )


def _draft_length(flag: str, note: str = "") -> Alias:
    return Alias(flag, "--draft-tokens", "draft_tokens", note=note)


def _p_min(flag: str) -> Alias:
    name = "spec-draft-p-min"
    return Alias(flag, f"--runner-arg {name}", "runner_arg", runner_arg=name)


ALIASES = (
    Alias("--mtp", "--method mtp", "method", switch="mtp"),
    Alias("--spec-type", "--method", "method"),
    Alias("--spec-method", "--method", "method"),
    _draft_length("--draft-max"),
    _draft_length("--draft"),
    _draft_length(
        "--n-predict",
        "articles mean the draft length by it; llama.cpp's own -n or --n-predict is the answer "
        "length, here --max-tokens",
    ),
    _draft_length("--spec-draft-n-max"),
    _draft_length("--num-speculative-tokens"),
    _draft_length("--spec-tokens"),
    *(
        Alias(flag, "--draft-model", "draft_model", several=True)
        for flag in ("--model-draft", "-md", "--speculative-model", "--spec-model")
    ),
    _p_min("--draft-p-min"),
    _p_min("--p-min"),
)


def with_old_spellings(command: Callable[..., None]) -> Callable[..., None]:
    """The command with a hidden option for every alias, translated before it is called."""

    @functools.wraps(command)
    def translated(**given: Any) -> None:
        old = {alias: given.pop(alias.name) for alias in ALIASES}
        command(
            **_translated(
                given, {alias: v for alias, v in old.items() if v is not None and v is not False}
            )
        )

    hints = get_type_hints(command, include_extras=True)
    own = [
        parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in inspect.signature(command).parameters.items()
    ]
    added = [alias.parameter_of_command() for alias in ALIASES]
    # What typer reads the options off.
    translated.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    translated.__annotations__ = {**hints, **{p.name: p.annotation for p in added}}
    return translated


def _translated(given: Mapping[str, Any], old: Mapping[Alias, str | bool]) -> dict[str, Any]:
    """The command's parameters with the aliases' values in their places."""
    result = dict(given)
    taken: dict[str, str] = {}
    for alias, value in old.items():
        todays = alias.option if alias.runner_arg is not None else alias.option.split()[0]
        rival = taken.get(todays) or (todays if _is_given(alias, given) else None)
        if rival is not None:
            complain(f"{alias.flag} and {rival} set the same thing here: give one of them")
            raise typer.Exit(USAGE)
        taken[todays] = alias.flag
        complain(f"{alias.flag} is {alias.option} here{f': {alias.note}' if alias.note else ''}")
        text = str(value) if alias.switch is None else alias.switch
        if alias.runner_arg is not None:
            text = f"{alias.runner_arg}={text}"
            result[alias.parameter] = [*(result[alias.parameter] or []), text]
        elif alias.parameter == "method":
            result["method"] = [_method_of(alias, text)]
        else:
            result[alias.parameter] = [text] if alias.several else text
    return result


def _is_given(alias: Alias, given: Mapping[str, Any]) -> bool:
    value = given[alias.parameter]
    if alias.runner_arg is None:
        return value is not None
    from runners.llama_cpp.options import canonical  # noqa: PLC0415

    return any(canonical(text.partition("=")[0]) == alias.runner_arg for text in value or [])


def _method_of(alias: Alias, text: str) -> str:
    """Today's name of a method."""
    if alias.flag == "--spec-type":
        return _llama_cpp_method(text)
    # vLLM's names are today's but for their dashes.
    return text.strip().replace("_", "-")


def _llama_cpp_method(spec_types: str) -> str:
    """'ngram-mod,draft-mtp', as llama.cpp names a chain -> 'ngram-mod+mtp'."""
    from runners.llama_cpp.methods import METHODS  # noqa: PLC0415

    names = {method.spec_type: name for name, method in METHODS.items()}
    # Before May 2026 a draft model was plain 'draft', and the n-gram types had underscores.
    names |= {"draft": "draft-model", "eagle3": "eagle3", "none": "none"}
    parts = [part.strip().replace("_", "-") for part in spec_types.split(",")]
    unknown = [part for part in parts if part not in names]
    if unknown:
        complain(f"--spec-type: llama.cpp has no type {unknown[0]!r}; it has {', '.join(names)}")
        raise typer.Exit(USAGE)
    return "+".join(names[part] for part in parts)
