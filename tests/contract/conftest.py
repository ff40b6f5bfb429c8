"""Runs the tests of `contract.py` on each of the `STANDS` of the module that has imported them."""

from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stand" in metafunc.fixturenames:
        stands = [stand.parameter() for stand in metafunc.module.STANDS]
        metafunc.parametrize("stand", stands, scope="module")
