"""Runners of programs that cannot be had here, before what answers like them."""

from __future__ import annotations

import pytest

from tests.contract import stands
from tests.contract.contract import *  # noqa: F403

STANDS = stands.STAND_INS
pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
