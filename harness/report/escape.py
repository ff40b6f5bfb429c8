"""Makes foreign text harmless: model output, paths, prompt ids and error texts may hold anything.

HTML is escaped by jinja2; what is here it gets too is `clean`.
"""

from __future__ import annotations

import re
import unicodedata

_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Control, invisible and direction-changing characters, lone surrogates, line separators."""

_MARKDOWN = re.compile(r"[\\`*_\[<>&|~$#@]|://|(?<![a-z])www\.", re.IGNORECASE)
_LINE_START = re.compile(r"^(\d+)([.)])(?=\s|$)|^([-+=])")


def clean(text: str) -> str:
    """One line of visible text: each harmful character becomes a space."""
    return "".join(
        " " if unicodedata.category(character) in _HARMFUL else character for character in text
    )


def clean_lines(text: str) -> str:
    """As `clean`, but keeps line breaks: for commands, which may have several lines."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(clean(line) for line in lines)


def markdown(text: str) -> str:
    """Text that Markdown shows as it is: no markup, cell, HTML, link or mention of its own."""
    escaped = _MARKDOWN.sub(_escape_markdown, clean(text))
    return _LINE_START.sub(lambda m: f"{m[1]}\\{m[2]}" if m[1] else f"\\{m[3]}", escaped)


def _escape_markdown(match: re.Match[str]) -> str:
    found = match[0]
    if found in "<>&@":
        return f"&#{ord(found)};"
    if len(found) > 1:
        return found.replace(":", "&#58;").replace(".", "&#46;")
    return f"\\{found}"


def markdown_fence(text: str) -> str:
    """A fenced block that the text cannot close: its fence is longer than any run of backticks."""
    text = clean_lines(text)
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def spreadsheet(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = clean(text)
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def figure(text: str) -> str:
    """Text that matplotlib's own font can draw, on one line: all of Latin-1 is in it."""
    return clean(text).encode("latin-1", "replace").decode("latin-1")


def file_name(text: str) -> str:
    """A short, plain part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "unnamed"
