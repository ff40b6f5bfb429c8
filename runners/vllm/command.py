"""Which words start vLLM's server: a `vllm`, the Python of an environment, or a whole command."""

from __future__ import annotations

from runners.base.command import Command, chosen_command, importable
from runners.base.contract import Missing
from runners.base.environments import environment_python

NAME = "vllm"
ADVICE = (
    "install it in an environment of its own, python -m venv vllm, vllm/bin/pip install vllm, and "
    "name its program: --vllm vllm/bin/vllm"
)
SERVE = ("serve",)


def command_of(program: str | None) -> Command | Missing:
    """The command of a program; None: what is found here."""
    return chosen_command(
        program,
        name=NAME,
        advice=ADVICE,
        subcommand=SERVE,
        elsewhere=lambda: importable(NAME) or _made_for_it(),
    )


def _made_for_it() -> Command | None:
    """The environment that `make runners` made."""
    python = environment_python(NAME)
    return None if python is None else Command((str(python),), str(python))
