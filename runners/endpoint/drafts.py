"""Where answers tell of their drafts: each server in a place of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runners.base.json_text import count
from runners.endpoint.kinds import Kind

Drafts = tuple[int, int, int]
"""Drafted and accepted tokens, and steps."""


@dataclass(frozen=True)
class Said:
    """What an answer said beside its text."""

    kind: Kind
    tokens: int
    chunks: int
    timings: Mapping[str, Any]
    usage: Mapping[str, Any]
    fields: Mapping[str, Any]
    """Others of its chunks, by their names."""

    def drafts(self) -> Drafts | None:
        """None: nothing of them.

        Raises:
            ValueError, TypeError, LookupError, AttributeError: it cannot be read.
        """
        for place in (self._timings, self._metrics, self._sglext, self._stats, self._predictions):
            if (told := place()) is not None:
                return told
        return None

    def _timings(self) -> Drafts | None:
        """llama-server, and those that took over its fields. It leaves drafts out where there were
        none; of the others silence says nothing."""
        silent = "draft_n" not in self.timings
        if silent and not (self.kind.silence_is_none and "predicted_n" in self.timings):
            return None
        accepted = count(self.timings.get("draft_n_accepted", 0))
        return count(self.timings.get("draft_n", 0)), accepted, self.tokens - accepted

    def _metrics(self) -> Drafts | None:
        """vLLM."""
        said = (self.fields.get("metrics") or {}).get("speculative_decoding")
        if not said:
            return None
        drafted, verified = count(said["num_draft_tokens"]), count(said["num_spec_steps"])
        accepted = count(said["num_accepted_draft_tokens"])
        others = max(1, self.tokens - verified - accepted)
        return drafted, accepted, max(verified + others, self.chunks)

    def _sglext(self) -> Drafts | None:
        """SGLang."""
        said = (self.fields.get("sglext") or {}).get("spec_tokens_details")
        if not said:
            return None
        accepted = count(said["spec_num_correct_drafts"])
        # The prefill's token comes of no verification.
        return count(said["spec_num_proposed_drafts"]), accepted, count(said["spec_verify_ct"]) + 1

    def _stats(self) -> Drafts | None:
        """LM Studio."""
        for place in (self.fields.get("stats") or {}, self.usage):
            if place.get("total_draft_tokens_count") is not None:
                accepted = count(place["accepted_draft_tokens_count"])
                return count(place["total_draft_tokens_count"]), accepted, self.tokens - accepted
        return None

    def _predictions(self) -> Drafts | None:
        """SGLang in builds that can be told to; OpenAI's own are of what the client predicted."""
        details = self.usage.get("completion_tokens_details") or {}
        told = details.get("accepted_prediction_tokens")
        if told is None or not self.kind.predictions_are_drafts:
            return None
        accepted = count(told)
        rejected = count(details.get("rejected_prediction_tokens") or 0)
        return accepted + rejected, accepted, self.tokens - accepted
