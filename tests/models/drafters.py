"""The drafters that read the target's hidden states, in PyTorch: EAGLE, EAGLE-3 and Medusa.

As vLLM 0.32 computes them (llama_eagle.py, llama_eagle3.py and medusa.py in its models). None has
an output matrix of its own: the target's stands in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.models.network import FeedForward, Trunk, rotate
from tests.models.shape import EAGLE3_LAYERS, EPSILON, MEDUSA_HEADS, MEDUSA_LAYERS, Shape


def states(trunk: Trunk, ids: Tensor) -> list[Tensor]:
    """The embeddings of `ids` [batch, tokens], then the state after each layer, then the normed."""
    found = [trunk.embed_tokens(ids)]
    for layer in trunk.layers:
        found.append(layer(found[-1]))
    return [*found, trunk.norm(found[-1])]


class LlamaAttention(nn.Module):
    """Without the norms of queries and keys that Qwen3 has."""

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__()
        self.shape = shape
        self.q_proj = nn.Linear(width, shape.heads * shape.head, bias=False)
        self.k_proj = nn.Linear(width, shape.kv_heads * shape.head, bias=False)
        self.v_proj = nn.Linear(width, shape.kv_heads * shape.head, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        q, k, v = (
            projection(x).view(batch, tokens, -1, self.shape.head).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        q, k = rotate(q.float()), rotate(k.float())
        k, v = (t.expand(-1, self.shape.heads, -1, -1) for t in (k, v.float()))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, tokens, -1))


class EagleLayer(nn.Module):
    """A Llama layer without the norm before its attention."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = LlamaAttention(shape, shape.hidden)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden, EPSILON)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(x)
        return x + self.mlp(self.post_attention_layernorm(x))


class Eagle(nn.Module):
    """The normed state at token i and the embedding of i + 1 to the normed state at i + 1."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.fc = nn.Linear(2 * shape.hidden, shape.hidden, bias=False)
        self.layers = nn.ModuleList([EagleLayer(shape)])

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        drafted: Tensor = self.layers[0](self.fc(torch.cat((embedding, hidden), -1)))
        return drafted


class Eagle3Layer(nn.Module):
    """Its attention sees the embedding beside the state."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.hidden, EPSILON)
        self.hidden_norm = nn.RMSNorm(shape.hidden, EPSILON)
        self.self_attn = LlamaAttention(shape, 2 * shape.hidden)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden, EPSILON)
        self.mlp = FeedForward(shape)

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        both = torch.cat((self.input_layernorm(embedding), self.hidden_norm(hidden)), -1)
        x = hidden + self.self_attn(both)
        return x + self.mlp(self.post_attention_layernorm(x))


class Eagle3(nn.Module):
    """The states of three layers at token i, joined by `fc`, and the embedding of i + 1.

    What it returns is fed in again in place of the joined states; `norm` comes before the output
    matrix alone.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.fc = nn.Linear(len(EAGLE3_LAYERS) * shape.hidden, shape.hidden, bias=False)
        self.midlayer = Eagle3Layer(shape)
        self.norm = nn.RMSNorm(shape.hidden, EPSILON)

    def joined(self, layers: list[Tensor]) -> Tensor:
        """From what `states` returns."""
        joined: Tensor = self.fc(torch.cat([layers[layer] for layer in EAGLE3_LAYERS], -1))
        return joined

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        drafted: Tensor = self.midlayer(hidden, embedding)
        return drafted


class MedusaHead(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(shape.hidden, shape.hidden, bias=False) for _ in range(MEDUSA_LAYERS)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + functional.silu(layer(x))
        return x


class Medusa(nn.Module):
    """Head k takes the normed state at token i to the one that predicts i + 2 + k."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(MedusaHead(shape) for _ in range(MEDUSA_HEADS))

    def forward(self, hidden: Tensor) -> list[Tensor]:
        return [block(hidden) for block in self.blocks]


class Drafters(nn.Module):
    """All of them; their parameters bear the checkpoint's names."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.eagle, self.eagle3, self.medusa = Eagle(shape), Eagle3(shape), Medusa(shape)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                closing = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=0.008 if closing else 0.02)

    def predictions(self, trunk: Trunk, layers: list[Tensor]) -> dict[str, Tensor]:
        """Logits by drafter and place in its draft; the last word of a name is the place.

        Row i of place 1 stands for token i + 2, of place 2 for i + 3 and so on.
        """
        embedded, hidden = layers[0], layers[-1]
        logits = trunk.logits
        found: dict[str, Tensor] = {}
        once = self.eagle(hidden[:, :-1], embedded[:, 1:])
        found["eagle 1"] = logits(once)
        found["eagle 2"] = logits(self.eagle(once[:, :-1], embedded[:, 2:]))
        once = self.eagle3(self.eagle3.joined(layers)[:, :-1], embedded[:, 1:])
        found["eagle3 1"] = logits(self.eagle3.norm(once))
        twice = self.eagle3(once[:, :-1], embedded[:, 2:])
        found["eagle3 2"] = logits(self.eagle3.norm(twice))
        for place, drafted in enumerate(self.medusa(hidden), start=1):
            found[f"medusa {place}"] = logits(drafted[:, :-place])
        return found
