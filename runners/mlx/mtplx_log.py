"""What the log of `mtplx serve` says of why it ended, or decodes without heads."""

from __future__ import annotations

import re
from pathlib import Path

from runners.base.process import log_tail

LONGEST = 500

_ERROR = re.compile(r"(?:mtplx(?: serve)?: |openai\.py: )?error: (.+)")
_RAISED = re.compile(r"(?:[A-Za-z_][\w.]*\.)?([A-Z]\w*(?:Error|Exception)): ?(.*)")
_DETAIL = re.compile(r"(?:reason|detail): (.+)")
_OFF = re.compile(r".*-> mtp_off: .+")


def why(log: Path) -> str | None:
    """The error in the log, with the line that says more of it; None: there is none."""
    lines = [line.strip() for line in log_tail(log, lines=200, longest=1000).splitlines()]
    for at, line in enumerate(lines):
        if (error := _ERROR.match(line)) is not None:
            details = [found[1] for each in lines[at + 1 :] if (found := _DETAIL.match(each))]
            return ": ".join([error[1], *details[:1]])[:LONGEST]
    raised = [found for line in lines if (found := _RAISED.match(line))]
    return ": ".join(filter(None, raised[-1].groups()))[:LONGEST] if raised else None


def without_heads(log: Path) -> str | None:
    """Its own words for why it decodes without heads."""
    lines = log_tail(log, lines=400, longest=LONGEST).splitlines()
    return next((line.strip() for line in lines if _OFF.match(line)), None)
