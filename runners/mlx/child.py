"""The process that holds mlx-lm, run by the Python of an environment that has it.

`PYTHON -I child.py LAUNCH_JSON` loads the models and serves until it is ended; `--describe` prints
what the environment offers and ends. decodebench is not installed there: this file makes its own
two packages importable, which need nothing but the standard library and mlx-lm.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import types
from importlib.metadata import version
from pathlib import Path
from typing import Any

if "runners" not in sys.modules:
    # As a package without a place on sys.path: nothing else of decodebench's environment, which
    # may be of another Python, must be found by the libraries that are imported here.
    _package = types.ModuleType("runners")
    _package.__path__ = [str(Path(__file__).resolve().parents[1])]
    sys.modules["runners"] = _package


def load_and_serve(launch: dict[str, Any]) -> None:
    from runners.base.generator_server import serve  # noqa: PLC0415 - where mlx-lm is missing too
    from runners.mlx.model import Model  # noqa: PLC0415

    try:
        model = Model(**launch)
    except RuntimeError as error:
        print("E", " ".join(str(error).split()), file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)
    serve(model)


def describe() -> None:
    import mlx.core as mx  # noqa: PLC0415
    from mlx_lm import generate  # noqa: PLC0415, F401 - the module of this name is what counts

    module = sys.modules["mlx_lm.generate"]
    steps = (module.generate_step, module.speculative_generate_step)
    plain, drafting = ([*inspect.signature(step).parameters] for step in steps)
    flags = [
        flag for action in module.setup_arg_parser()._actions for flag in action.option_strings
    ]
    named = {*plain, *drafting, *vars(module), *flags}
    device = "CPU" if mx.default_device().type == mx.DeviceType.cpu else "GPU"
    if device == "GPU":
        device = "Metal" if mx.metal.is_available() else "CUDA"
    about = {
        "version": version("mlx-lm"),
        "mlx": version("mlx"),
        "devices": [f"{device}: {mx.device_info().get('device_name', 'unnamed')}"],
        "plain": plain,
        "drafting": drafting,
        "mtp": sorted(name for name in named if "mtp" in name.lower()),
    }
    print(json.dumps(about))


if __name__ == "__main__":
    if sys.argv[1] == "--describe":
        describe()
    else:
        load_and_serve(json.loads(sys.argv[1]))
