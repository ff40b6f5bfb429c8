"""Training text: the standard library's source for code, its language reference and docutils'
public-domain documents for prose."""

from __future__ import annotations

import hashlib
import random
import re
import sysconfig
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tests.models.shape import END_OF_TEXT, IM_END, IM_START

DOCUTILS = "docutils-0.21.2.tar.gz"
DOCUTILS_SHA256 = "3a6b18732edf182daa3cd12775bbb338cf5691468f91eeeb109deff6ebfa986f"

# Tests repeat themselves, the rest are tables, other people's packages or other people's licences.
LEFT_OUT = {
    *("test", "tests", "idle_test", "lib2to3", "site-packages", "ensurepip", "encodings"),
    *("pydoc_data", "turtledemo", "__pycache__", "__phello__"),
}
HELD_OUT = 20
"""Every twentieth document is kept from training."""
WINDOW = 2600
"""Characters cut for one training sequence: more than its tokens need."""

FUNCTION = re.compile(r'^ *def (\w+)\(.*?\n *r?"""(\w[^"\n]+)', re.MULTILINE)
PARAGRAPH = re.compile(r"(?<=\n\n)(?=[A-Z][a-z]*(?: [\w`',]+){5})")


@dataclass(frozen=True)
class Opening:
    """A place in a document that answers `request`."""

    request: str
    start: int


@dataclass(frozen=True)
class Document:
    text: str
    openings: tuple[Opening, ...]


@dataclass(frozen=True)
class Corpus:
    """Documents of one kind of text."""

    train: tuple[Document, ...]
    held_out: tuple[Document, ...]

    def texts(self) -> Iterator[str]:
        return (document.text for document in self.train)


def split(documents: list[Document]) -> Corpus:
    return Corpus(
        tuple(d for i, d in enumerate(documents) if i % HELD_OUT != HELD_OUT - 1),
        tuple(documents[HELD_OUT - 1 :: HELD_OUT]),
    )


def code() -> Corpus:
    """The source of this Python's standard library (PSF-2.0)."""
    root = Path(sysconfig.get_paths()["stdlib"])
    documents = []
    for path in sorted(root.rglob("*.py")):
        if LEFT_OUT.intersection(path.relative_to(root).parts):
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        openings = (
            Opening(f"Write a Python function `{found[1]}`. {found[2].strip()}", found.start())
            for found in FUNCTION.finditer(text)
        )
        documents.append(Document(text, tuple(openings)))
    return split(documents)


def prose(docutils: Path) -> Corpus:
    """The language reference that `help()` shows (PSF-2.0), and docutils' public-domain documents.

    Raises:
        ValueError: the archive is not the pinned release.
    """
    if hashlib.sha256(docutils.read_bytes()).hexdigest() != DOCUTILS_SHA256:
        raise ValueError(f"{docutils} is not {DOCUTILS}, or it is damaged: download it again")
    texts = list(import_module("pydoc_data.topics").topics.values())
    with tarfile.open(docutils) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            if not re.fullmatch(r"[^/]+/docs/.+\.(txt|rst)", member.name):
                continue
            file = archive.extractfile(member)
            text = file.read().decode(errors="ignore") if file else ""
            if re.search(r"placed\s+in\s+the\s+public\s+domain", text):
                texts.append(text)
    return split([Document(text, tuple(paragraphs(text))) for text in texts])


def paragraphs(text: str) -> Iterator[Opening]:
    """Each paragraph answers a request to write what begins with its first words."""
    for found in PARAGRAPH.finditer(text):
        words = text[found.start() : found.start() + 120].split()[:8]
        yield Opening(f"Write a text that begins with: {' '.join(words)}", found.start())


def chat(request: str, answer: str) -> str:
    """One exchange as the chat template writes it, the answer left open."""
    return f"{IM_START}user\n{request}{IM_END}\n{IM_START}assistant\n{answer}"


def window(document: Document, chance: random.Random) -> str:
    """A cut of a document: half of the time as it stands, else as the answer in a chat.

    The end of the document is marked, so that a model learns to end only where a text ended.
    """
    start = chance.randrange(max(1, len(document.text) - WINDOW // 2))
    form = chance.random()
    if form < 0.3 and document.openings:
        opening = chance.choice(document.openings)
        answer, ending = cut(document, opening.start)
        return chat(opening.request, answer + (IM_END + ending if ending else ""))
    text, ending = cut(document, start)
    if form < 0.5:
        middle = chance.randrange(40, 400)
        return chat(text[:middle], text[middle:] + (IM_END + ending if ending else ""))
    return text + ending


def cut(document: Document, start: int) -> tuple[str, str]:
    ending = END_OF_TEXT if start + WINDOW >= len(document.text) else ""
    return document.text[start : start + WINDOW], ending
