"""Makes messages a prompt's tokens, run by the Python of an environment that has mlx-lm.

`PYTHON -I prompt.py FOLDER MESSAGES_FILE` prints the ids: of the model's own chat template, as
runners/mlx/model.py has them, or of the messages' own text where there is none. It imports nothing
of the project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(folder: str, messages_file: str) -> None:
    from mlx_lm.tokenizer_utils import load  # noqa: PLC0415 - of that other environment

    messages = json.loads(Path(messages_file).read_text(encoding="utf-8"))
    tokenizer = load(Path(folder))
    if tokenizer.has_chat_template:
        tokens = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    else:
        tokens = tokenizer.encode("\n".join(message["content"] for message in messages))
    print(json.dumps([int(token) for token in tokens]))


if __name__ == "__main__":
    main(*sys.argv[1:])
