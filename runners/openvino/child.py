"""The process that holds OpenVINO GenAI; the harness is its parent.

`python -m runners.openvino.child LAUNCH_JSON` loads the model and serves until it is ended;
`--describe` prints what the package can do here and ends; `--export GGUF` writes the model in
OpenVINO's own format into the folder that the file lies in. The package is imported in here alone:
a crash in it must not take the harness along.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

PRECISIONS = (("INFERENCE_PRECISION_HINT", "computes in"), ("KV_CACHE_PRECISION", "KV cache"))


def load_and_serve(launch: dict[str, Any]) -> None:
    from runners.base.generator_server import serve  # noqa: PLC0415 - not to describe the package
    from runners.openvino.model import Model  # noqa: PLC0415
    from runners.openvino.options import Launch  # noqa: PLC0415

    try:
        model = Model(Launch(**launch))
    except RuntimeError as error:
        fail(str(error))
    serve(model)


def fail(reason: str) -> None:
    print("E", " ".join(reason.split()), file=sys.stderr)
    sys.stderr.flush()
    os._exit(1)


def describe() -> None:
    import openvino  # noqa: PLC0415

    core = openvino.Core()
    about = {
        "version": version("openvino-genai"),
        "openvino": version("openvino"),
        "devices": [named(core, device) for device in core.available_devices],
        "properties": {
            device: [
                name
                for name, access in core.get_property(device, "SUPPORTED_PROPERTIES").items()
                if access == "RW"
            ]
            for device in core.available_devices
        },
    }
    print(json.dumps(about))


def named(core: Any, device: str) -> str:
    """'CPU: Intel …, computes in bf16, KV cache u8': what it does where nothing is set."""
    words = [f"{device}: {core.get_property(device, 'FULL_DEVICE_NAME')}"]
    for name, what in PRECISIONS:
        try:
            words.append(f"{what} {core.get_property(device, name).to_string()}")
        except (RuntimeError, AttributeError):
            continue
    return ", ".join(words)


def export(model: str) -> None:
    import openvino_genai  # noqa: PLC0415

    from runners.openvino.words import in_words  # noqa: PLC0415

    try:
        with in_words(str(Path(model).resolve())):
            openvino_genai.LLMPipeline(model, "CPU", enable_save_ov_model=True)
    except RuntimeError as error:
        fail(str(error))


if __name__ == "__main__":
    if sys.argv[1] == "--describe":
        describe()
    elif sys.argv[1] == "--export":
        export(sys.argv[2])
    else:
        load_and_serve(json.loads(sys.argv[1]))
