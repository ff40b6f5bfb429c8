"""Runners that launch a server, and the mock."""

from __future__ import annotations

import pytest

from tests.contract import stands
from tests.contract.contract import *  # noqa: F403

STANDS = (*stands.MOCKS, *stands.SERVERS)
pytestmark = pytest.mark.asyncio(loop_scope="module")
