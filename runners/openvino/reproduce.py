"""A launch as Python code to paste."""

from __future__ import annotations

from runners.openvino.options import Launch


def code_of(launch: Launch) -> str:
    """Loads the models as the launch does, and answers a prompt greedily."""
    properties = "".join(f", {name}={value!r}" for name, value in launch.properties.items())
    lines = ["import openvino_genai as ov"]
    more = ", scheduler_config=ov.SchedulerConfig()"
    asking = ""
    if launch.draft is not None:
        # A draft has to be in OpenVINO's own format, which is written beside a GGUF file.
        lines += [
            "import pathlib, tempfile",
            "folder = tempfile.TemporaryDirectory()",
            'link = pathlib.Path(folder.name, "model.gguf")',
            f"link.symlink_to({launch.draft!r})",
            'ov.LLMPipeline(link, "CPU", enable_save_ov_model=True)',
            f"draft = ov.draft_model(folder.name, {launch.device!r}{properties})",
        ]
        more += ", draft_model=draft"
    if launch.ngram_size is not None:
        more += ", prompt_lookup=True"
        asking += f", max_ngram_size={launch.ngram_size}"
    if launch.draft_tokens is not None:
        asking += f", num_assistant_tokens={launch.draft_tokens}"
    # With a draft model the pipeline does not know what ends a text.
    lines += [
        f"pipe = ov.LLMPipeline({launch.model!r}, {launch.device!r}{properties}{more})",
        "show = lambda text: print(text, end='', flush=True)",
        "end = pipe.get_tokenizer().get_eos_token_id()",
        f"settings = dict(max_new_tokens=256, eos_token_id=end{asking})",
        "pipe.generate(input('prompt: '), streamer=show, **settings)",
    ]
    return "\n".join(lines)
