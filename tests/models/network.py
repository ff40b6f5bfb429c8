"""The models in PyTorch: a Qwen3 trunk, and the MTP head of Qwen3.5 on top of it."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.models.shape import EPSILON, ROPE_THETA, VOCABULARY, Shape


@functools.cache
def angles(tokens: int, half: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary positions, each [tokens, half]."""
    angle = torch.arange(tokens)[:, None] * ROPE_THETA ** (-torch.arange(half) / half)
    return angle.cos(), angle.sin()


def rotate(x: Tensor) -> Tensor:
    """Rotary positions 0, 1, … for `x` [batch, heads, tokens, head]; halves pair up."""
    cos, sin = angles(x.shape[-2], x.shape[-1] // 2)
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q_proj = nn.Linear(shape.hidden, shape.heads * shape.head, bias=False)
        self.k_proj = nn.Linear(shape.hidden, shape.kv_heads * shape.head, bias=False)
        self.v_proj = nn.Linear(shape.hidden, shape.kv_heads * shape.head, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head, shape.hidden, bias=False)
        self.q_norm = nn.RMSNorm(shape.head, EPSILON)
        self.k_norm = nn.RMSNorm(shape.head, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, _ = x.shape
        q, k, v = (
            projection(x).view(batch, tokens, -1, self.shape.head)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        # Norms stay in single precision where the products around them do not.
        q, k = self.q_norm(q.float()), self.k_norm(k.float())
        q, k = rotate(q.transpose(1, 2)), rotate(k.transpose(1, 2))
        k, v = (t.expand(-1, self.shape.heads, -1, -1) for t in (k, v.transpose(1, 2)))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, tokens, -1))


class FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.feed_forward, bias=False)
        self.down_proj = nn.Linear(shape.feed_forward, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.hidden, EPSILON)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden, EPSILON)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Trunk(nn.Module):
    """Token ids [batch, tokens] to hidden states [batch, tokens, hidden] after the final norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.hidden, EPSILON)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed_tokens(ids)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return hidden @ self.embed_tokens.weight.T


class Mtp(nn.Module):
    """The state at token i and the embedding of token i + 1 to the state that predicts i + 2.

    What it returns can be fed in again, which is how it drafts more than one token.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.pre_fc_norm_embedding = nn.RMSNorm(shape.hidden, EPSILON)
        self.pre_fc_norm_hidden = nn.RMSNorm(shape.hidden, EPSILON)
        self.fc = nn.Linear(2 * shape.hidden, shape.hidden, bias=False)
        self.layers = nn.ModuleList([Layer(shape)])
        self.norm = nn.RMSNorm(shape.hidden, EPSILON)

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        parts = (self.pre_fc_norm_embedding(embedding), self.pre_fc_norm_hidden(hidden))
        return self.norm(self.layers[0](self.fc(torch.cat(parts, -1))))


class Models(nn.Module):
    """The family; its parameters bear the checkpoint's names."""

    def __init__(self, target: Shape, draft: Shape) -> None:
        super().__init__()
        self.target, self.mtp, self.draft = Trunk(target), Mtp(target), Trunk(draft)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                closing = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=0.008 if closing else 0.02)

    def predictions(self, ids: Tensor) -> dict[str, Tensor]:
        """Logits for the tokens that follow, from `ids` [batch, tokens].

        Row i of 'target' and 'draft' stands for token i + 1, of 'mtp 1' for i + 2 and of 'mtp 2'
        for i + 3; the MTP logits are one and two rows shorter.
        """
        hidden = self.target(ids)
        embedded = self.target.embed_tokens(ids)
        once = self.mtp(hidden[:, :-1], embedded[:, 1:])
        twice = self.mtp(once[:, :-1], embedded[:, 2:])
        logits = self.target.logits
        return {
            "target": logits(hidden),
            "mtp 1": logits(once),
            "mtp 2": logits(twice),
            "draft": self.draft.logits(self.draft(ids)),
        }
