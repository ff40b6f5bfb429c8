"""The shapes of the family, its special tokens and where its checkpoint lies.

Read by training and by export alike, so it imports neither PyTorch nor NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CHECKPOINT = Path(__file__).with_name("checkpoint.safetensors")
DRAFTERS = Path(__file__).with_name("drafters.safetensors")
TOKENIZER = Path(__file__).with_name("tokenizer.json")

VOCABULARY = 2048
CONTEXT = 4096
"""What the packagings claim. Training saw 512 tokens at a time; beyond that the text decays."""
ROPE_THETA = 10_000.0
EPSILON = 1e-6

END_OF_TEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, IM_START, IM_END)
"""Their ids are their places: 0, 1, 2."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """A Qwen3 model with tied embeddings. Widths are in numbers, not bytes."""

    hidden: int
    feed_forward: int
    layers: int
    heads: int
    kv_heads: int = 1
    head: int = 64


TARGET = Shape(hidden=192, feed_forward=512, layers=3, heads=3)
"""Its MTP head has one layer of the same shape."""
DRAFT = Shape(hidden=128, feed_forward=256, layers=1, heads=2)

EAGLE3_LAYERS = (1, 2, 3)
"""Layers of the target after which the EAGLE-3 head reads the hidden state; 0: the embedding."""
MEDUSA_HEADS, MEDUSA_LAYERS = 3, 2
"""Heads, each for one place in the draft, and residual layers in each."""
