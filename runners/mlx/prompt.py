"""Makes messages a prompt's tokens, run by the Python of an environment that has mlx-lm.

`PYTHON -I prompt.py FOLDER MESSAGES_FILE` prints the ids. It imports nothing of the project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def tokens_of(tokenizer: Any, messages: list[dict[str, str]]) -> list[int]:
    """By the model's own chat template, or of the messages' own text where there is none."""
    if tokenizer.has_chat_template:
        tokens = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    else:
        tokens = tokenizer.encode("\n".join(message["content"] for message in messages))
    return [int(token) for token in tokens]


def main(folder: str, messages_file: str) -> None:
    from mlx_lm.tokenizer_utils import load  # noqa: PLC0415 - of that other environment

    messages = json.loads(Path(messages_file).read_text(encoding="utf-8"))
    print(json.dumps(tokens_of(load(Path(folder)), messages)))


if __name__ == "__main__":
    main(*sys.argv[1:])
