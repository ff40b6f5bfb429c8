"""What a workload is made of: messages, prompts, and the error everything here raises."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass


class WorkloadError(Exception):
    """A workload cannot be used. The message says what is wrong and what to do about it."""


@dataclass(frozen=True)
class Message:
    """One message of a chat: ``role`` is system, user or assistant, ``content`` its text."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """One question to a model.

    ``id`` is unique within its workload. ``kind`` is a free word that groups prompts of the
    same sort (completion, table, story, ...). ``messages`` is never empty and ends with a user's
    message. ``length`` is the approximate count of tokens in the messages' text, or None where
    the file does not say.
    """

    id: str
    workload: str
    kind: str
    messages: tuple[Message, ...]
    length: int | None = None

    @property
    def sha256(self) -> str:
        """Hex digest over roles and contents only, so that renaming a prompt keeps it."""
        chat = [[message.role, message.content] for message in self.messages]
        return hashlib.sha256(json.dumps(chat, separators=(",", ":")).encode("ascii")).hexdigest()


@dataclass(frozen=True)
class Workload:
    """A named, ordered set of prompts; the first few stand for the whole."""

    name: str
    description: str
    prompts: tuple[Prompt, ...]
