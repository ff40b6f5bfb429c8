"""The endpoint, before each server that is known by a transcript."""

from __future__ import annotations

import pytest

from tests.contract import guises
from tests.contract.contract import *  # noqa: F403
from tests.transcripts.transcript import names

STANDS = guises.STANDS
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_every_transcript_is_played() -> None:
    assert set(guises.GUISES) == set(names())
