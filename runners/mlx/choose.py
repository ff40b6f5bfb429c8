"""Which program the runner drives: mlx-lm through its Python, or MTPLX."""

from __future__ import annotations

from pathlib import Path

from runners.base.contract import Runner
from runners.mlx.mtplx import Mtplx
from runners.mlx.mtplx_program import NAME
from runners.mlx.runner import Mlx


def mlx(program: str | None = None) -> Runner:
    """MTPLX where a program of its name is named; else mlx-lm."""
    if program is not None and Path(program).name == NAME:
        return Mtplx(program)
    return Mlx(program)
