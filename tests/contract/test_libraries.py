"""Runners that launch a library in a process of its own."""

from __future__ import annotations

import pytest

from tests.contract import stands
from tests.contract.contract import *  # noqa: F403

STANDS = stands.LIBRARIES
pytestmark = pytest.mark.asyncio(loop_scope="module")
