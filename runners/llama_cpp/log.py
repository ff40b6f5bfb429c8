"""What a llama.cpp server's log says: why it did not start, what came of the drafts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from runners.base.failure import lines_of
from runners.base.process import log_tail

LONGEST_REMARK = 300
MOST_COMPLAINTS = 8

# '0.01.093.010 E srv  load_model: …'; the time is left out where a build writes none.
_ERROR = re.compile(r"(?:[\d.]+ )?E (.+)")
_WARNING = re.compile(r"(?:[\d.]+ )?[EW] (.+)")
# Said by the parser of arguments, the C++ library and the loader, without time and severity.
_PLAIN_ERROR = re.compile(
    r"(error(?: while handling argument.*)?: .+|error while loading .+|.*GGML_ASSERT.+"
    r"|terminate called .+|\s+what\(\): .+|cannot start .+)"
)
# 'draft acceptance = 0.81 (  121 accepted /   148 generated), mean len = 4.27'; 'rate' until 2026.
_ACCEPTANCE = re.compile(
    r"draft acceptance(?: rate)? = +[\d.na-]+ \( *(\d{1,15}) accepted / *(\d{1,15}) generated\)"
)
_LIMIT = re.compile(r"clamping to (\d{1,9})\b|draft limit was reduced from \d+ to (\d{1,9})\b")
_ABOUT_DRAFTS = re.compile(r"specul|draft|\bMTP\b|ngram", re.IGNORECASE)
_ANOTHER_METHOD = "speculative type is not explicitly enabled - enabling it"


def why(log: Path) -> str | None:
    """The first and the last error that the server logged, cause and effect; None: no error."""
    lines = log_tail(log, lines=40).splitlines()
    errors = [match[1] for line in lines if (match := _ERROR.match(line))]
    own = [line for line in errors if not line.startswith("srv")] or errors
    if not own:
        own = [match[1].strip() for line in lines if (match := _PLAIN_ERROR.match(line))]
    return "; ".join(dict.fromkeys(own[:1] + own[-1:])) or None


@dataclass(frozen=True)
class DraftLog:
    """What a log says of drafts."""

    acceptance: tuple[int, int] | None
    """(accepted, drafted) over all requests; None where no request's are logged."""
    complaints: tuple[str, ...]
    """Warnings and errors about drafts, in the log's words, each once."""
    limit: int | None
    """The draft length that the server cut the wanted one to."""

    @property
    def remark(self) -> str | None:
        return "; ".join(self.complaints)[:LONGEST_REMARK] or None

    @property
    def other_method(self) -> str | None:
        """The line of builds of spring 2026 that draft in another way than they were asked to."""
        return next((line for line in self.complaints if _ANOTHER_METHOD in line), None)


def read_drafts(log: Path) -> DraftLog:
    """All that the log says of drafts; nothing where it cannot be read."""
    totals: tuple[int, int] | None = None
    complaints: dict[str, None] = {}
    limit = None
    for line in lines_of(log):
        if match := _ACCEPTANCE.search(line):
            accepted, drafted = totals or (0, 0)
            totals = accepted + int(match[1]), drafted + int(match[2])
        if match := _LIMIT.search(line):
            cut = int(match[1] or match[2])
            limit = cut if limit is None else min(limit, cut)
        if len(complaints) >= MOST_COMPLAINTS and _ANOTHER_METHOD not in line:
            continue
        if (match := _WARNING.match(line)) and _ABOUT_DRAFTS.search(match[1]):
            complaints.setdefault(" ".join(match[1].split())[:LONGEST_REMARK])
    return DraftLog(totals, tuple(complaints), limit)
