"""Reads prompts out of question files: the own format, HumanEval, MT-Bench and Spec-Bench.

A format is recognised from the keys of the first line, never from the file's name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workloads.workload import Message, Prompt, WorkloadError

ROLES = ("system", "user", "assistant")

OWN_FORM = '{"prompt": "..."} or {"messages": [{"role": "user", "content": "..."}]}'

_TYPE_NAMES: Mapping[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


@dataclass(frozen=True)
class _Line:
    """One JSON object of a file and where it stands."""

    file: str
    number: int
    keys: Mapping[str, object]

    def error(self, problem: str) -> WorkloadError:
        return WorkloadError(f"{self.file}, line {self.number}: {problem}")

    def text(self, key: str, *, default: str | None = None) -> str:
        """The text under ``key``; a missing key is an error unless there is a default."""
        value = self.keys.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.error(f'"{key}" must be a text, not {_kind_of(value)}.')
        return self.checked(value, key)

    def label(self, key: str, *, default: str) -> str:
        """A text or a whole number under ``key``, as a text."""
        value = self.keys.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(key, default=default)

    def checked(self, text: str, key: str) -> str:
        if not text.strip():
            raise self.error(f'"{key}" is empty. Write a text there, or remove the line.')
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            raise self.error(f'"{key}" holds half a character (a lone \\ud800-\\udfff escape).')
        return text


@dataclass(frozen=True)
class Format:
    """One kind of question file: its name, the keys that give it away, and its reader."""

    name: str
    keys: frozenset[str]
    read: Callable[[_Line, str], Prompt]


def _own(line: _Line, workload: str) -> Prompt:
    if ("prompt" in line.keys) == ("messages" in line.keys):
        raise line.error(f"expected either {OWN_FORM}.")
    length = line.keys.get("length")
    if length is not None and (type(length) is not int or length < 1):
        raise line.error('"length" must be a count of tokens, such as 120. It may be left out.')
    return Prompt(
        id=line.label("id", default=str(line.number)),
        workload=workload,
        kind=line.text("kind", default="prompt"),
        messages=_messages(line),
        length=length,
    )


def _messages(line: _Line) -> tuple[Message, ...]:
    if "prompt" in line.keys:
        return (Message("user", line.text("prompt")),)
    given = line.keys["messages"]
    if not isinstance(given, list) or not given:
        raise line.error('"messages" must be a list of one message or more.')
    messages = tuple(_message(line, entry) for entry in given)
    if messages[-1].role != "user":
        raise line.error("the last message must be the user's, since the model answers it.")
    return messages


def _message(line: _Line, entry: object) -> Message:
    if not isinstance(entry, dict):
        raise line.error(f'a message must be {{"role": ..., "content": ...}}, not {_shown(entry)}.')
    role, content = entry.get("role"), entry.get("content")
    if role not in ROLES:
        raise line.error(f'"role" must be one of {", ".join(ROLES)}, not {_shown(role)}.')
    if not isinstance(content, str):
        raise line.error(f'"content" must be a text, not {_kind_of(content)}.')
    return Message(role, line.checked(content, "content"))


def _human_eval(line: _Line, workload: str) -> Prompt:
    code = line.text("prompt")
    ask = f"Complete the Python function `{line.text('entry_point')}` below. Answer with the code."
    return Prompt(
        id=line.label("task_id", default=str(line.number)),
        workload=workload,
        kind="completion",
        messages=(Message("user", f"{ask}\n\n```python\n{code.rstrip()}\n```"),),
    )


def _question(line: _Line, workload: str) -> Prompt:
    turns = line.keys.get("turns")
    if not isinstance(turns, list) or not turns or not isinstance(turns[0], str):
        raise line.error('"turns" must be a list of texts, of which the first is asked.')
    return Prompt(
        id=line.label("question_id", default=str(line.number)),
        workload=workload,
        kind=line.text("category", default="question"),
        messages=(Message("user", line.checked(turns[0], "turns")),),
    )


# The first match wins, so the format with the telling keys stands before the general ones.
FORMATS = (
    Format("HumanEval", frozenset({"task_id", "prompt", "entry_point"}), _human_eval),
    Format("MT-Bench or Spec-Bench", frozenset({"question_id", "turns"}), _question),
    Format("prompts", frozenset({"messages"}), _own),
    Format("prompts", frozenset({"prompt"}), _own),
)


def read_prompts(text: str, *, file: str, workload: str) -> tuple[Format, tuple[Prompt, ...]]:
    """Read a whole JSONL text; ``file`` is how error messages call it.

    Blank lines are skipped. Raises WorkloadError, with the line's number, for a line that is not
    JSON, for an object that is no prompt of the file's format, for a second use of an id, and
    for a text without any prompt.
    """
    found: Format | None = None
    seen: dict[str, int] = {}
    prompts: list[Prompt] = []
    # Not splitlines(): a JSON text may hold U+2028 and its like unescaped.
    for number, raw in enumerate(text.split("\n"), start=1):
        if not raw.strip():
            continue
        line = _parse(raw, file=file, number=number)
        found = found or _recognise(line)
        # A file of the own format may mix its two forms freely.
        if not found.keys <= line.keys.keys() and found.read is not _own:
            missing = ", ".join(f'"{key}"' for key in sorted(found.keys - line.keys.keys()))
            raise line.error(f"this file began as {found.name}, but here {missing} is missing.")
        prompt = found.read(line, workload)
        if prompt.id in seen:
            first = seen[prompt.id]
            raise line.error(
                f"the id {prompt.id!r:.60} is used on line {first} already. Change one."
            )
        seen[prompt.id] = number
        prompts.append(prompt)
    if found is None:
        raise WorkloadError(f"{file} holds no prompts. Write one JSON object a line: {OWN_FORM}.")
    return found, tuple(prompts)


def _parse(raw: str, *, file: str, number: int) -> _Line:
    where = f"{file}, line {number}"
    expected = f"Expected one JSON object a line: {OWN_FORM}."
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        # Besides bad syntax: numbers of thousands of digits, brackets nested without end.
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "too large or too deep"
        raise WorkloadError(f"{where} is not JSON ({reason}). {expected}") from None
    if not isinstance(value, dict):
        raise WorkloadError(f"{where} is {_kind_of(value)}. {expected}")
    return _Line(file, number, value)


def _recognise(line: _Line) -> Format:
    for entry in FORMATS:
        if entry.keys <= line.keys.keys():
            return entry
    raise line.error(
        f"no known prompt: expected {OWN_FORM}, "
        "or a line of HumanEval, MT-Bench or Spec-Bench questions."
    )


def _shown(value: object) -> str:
    return f"{value!r:.60}" if isinstance(value, str) else _kind_of(value)


def _kind_of(value: object) -> str:
    return _TYPE_NAMES.get(type(value), "something else")
