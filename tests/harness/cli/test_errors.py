from __future__ import annotations

import logging

import pytest

from harness.cli.errors import hear_runners


def test_what_takes_its_time_is_said_without_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logging.getLogger("runners")
    before = (log.level, log.handlers)
    try:
        hear_runners()
        hear_runners()
        logging.getLogger("runners.vllm.build").info("asking %s", "vl\x1blm")
        logging.getLogger("runners.vllm.build").debug("not this")
    finally:
        log.level, log.handlers = before
    assert capsys.readouterr().err == "bench: asking vl\\x1blm\n"
