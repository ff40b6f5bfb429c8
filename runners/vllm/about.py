"""Says of the environment that it runs in what `bench` wants to know of its vLLM.

Run by path with the environment's own Python: it imports nothing of the project, nor vLLM, which
would take seconds.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path

SERVERS: dict[str, tuple[str, ...]] = {
    "entrypoints/openai/api_server.py": ("-m", "vllm.entrypoints.openai.api_server"),
    "entrypoints/cli/main.py": ("-m", "vllm.entrypoints.cli.main", "serve"),
}
"""Files of modules that serve -> the words that start them."""


def version_of(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def main() -> None:
    spec = importlib.util.find_spec("vllm")
    if spec is None or spec.origin is None:
        sys.exit("vLLM is not installed there")
    package = Path(spec.origin).parent
    # Builds for processors have had names of their own.
    names = ["vllm", *importlib.metadata.packages_distributions().get("vllm", [])]
    versions = [version for name in names if (version := version_of(name)) is not None]
    torch = version_of("torch") or ""
    server = next((words for file, words in SERVERS.items() if (package / file).is_file()), None)
    print(
        json.dumps(
            {
                "version": versions[0] if versions else "of unknown version",
                "torch": torch,
                "server": server,
                "cpu": any("cpu" in text for text in (torch, *versions, *names)),
                "suffix": importlib.util.find_spec("arctic_inference") is not None,
            }
        )
    )


if __name__ == "__main__":
    main()
