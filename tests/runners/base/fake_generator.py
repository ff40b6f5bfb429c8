"""A generator that tells the same steps every time, to serve in this process or in one of its own.

`python -I -S fake_generator.py FOLDER METHOD` is a process that has nothing of the project but
`generator_server.py`, out of FOLDER.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence

if __name__ == "__main__":
    sys.path.append(sys.argv[1])
    import generator_server as served
else:
    import runners.base.generator_server as served

STEPS = (
    served.Step((1,), "one"),
    served.Step((2, 3), " two", drafted=4, accepted=1),
    served.Step((4, 5, 6), " drei \N{SNOWMAN}", drafted=2, accepted=2),
)


class Fake:
    """Says `STEPS`; the first message's text is the fault it shall have."""

    def __init__(self, method: str = "ngram") -> None:
        self.method = method
        self.closed = threading.Event()
        self.made = 0

    def about(self) -> Mapping[str, object]:
        return {"method": self.method, "draft_limit": 4, "remark": "hm", "disagreement": None}

    def generate(self, asked: served.Asked) -> Generator[served.Step | served.End, None, None]:
        fault = asked.messages[0][1]
        try:
            if fault == "refuse":
                raise served.RefusedError("no such prompt")
            if fault == "fail":
                raise MemoryError("all is full")
            untold = fault.startswith("untold")
            for step in STEPS:
                yield dataclasses.replace(step, drafted=None) if untold else step
                if fault == "fail-later":
                    raise ValueError("a tensor broke")
                if fault == "die":
                    os.kill(os.getpid(), signal.SIGKILL)
            while fault == "endless":
                self.made += 1
                yield served.Step((7,), " more")
                time.sleep(0.001)
            if fault != "no-end":
                yield served.End(
                    "stop",
                    prompt_tokens=9,
                    cached_tokens=0,
                    text="\ufffd",
                    peak_memory=12_345,
                    drafted=6 if fault == "untold-until-the-end" else None,
                )
        finally:
            self.closed.set()

    def next_tokens(
        self, messages: Sequence[tuple[str, str]], written: Sequence[int], count: int
    ) -> list[tuple[int, float]] | None:
        if messages[0][1] == "untold":
            return None
        if not written:
            raise served.RefusedError("nothing is written")
        return [(token, -float(token)) for token in written][:count]


if __name__ == "__main__":
    if sys.argv[2:] == ["no-start"]:
        sys.exit("E the generator has no model")
    loaded = [name for name in sys.modules if name.partition(".")[0] in ("runners", "httptools")]
    assert not loaded, loaded
    served.serve(Fake(*sys.argv[2:]))
