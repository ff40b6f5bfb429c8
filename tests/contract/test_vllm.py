"""vLLM, which takes longer to start than all the others together."""

from __future__ import annotations

import pytest

from tests.contract import stands
from tests.contract.contract import *  # noqa: F403

STANDS = stands.SLOW
pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
