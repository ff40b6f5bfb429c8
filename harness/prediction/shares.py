"""Which share of its ceiling plain decoding reaches: the unknown of every predicted rate.

The figures are those of benchmarks/published.toml (22 published rates of models of 3 to 16 GB a
token; docs/validation.md has each with its page), by kind of hardware; a test holds them to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.prediction.kinds import Kind


@dataclass(frozen=True)
class Share:
    """Of the ceiling, from 0 to 1: the least, the median and the most that was seen."""

    low: float
    middle: float
    high: float
    fastest_ceiling: float
    """The highest ceiling among these rates, tok/s. Above it, what a step costs beside reading
    sets the pace, and nobody has published how much that is."""
    source: str

    def holding(self, share: float, source: str) -> Share:
        """Widened to hold a share that was measured; its middle stays."""
        return Share(
            min(self.low, share),
            self.middle,
            max(self.high, share),
            self.fastest_ceiling,
            f"{self.source}; {source}",
        )

    def rates(self, ceiling: float) -> tuple[float, float, float]:
        """The decode rates to expect under a ceiling, tok/s: low, middle, high.

        Above `fastest_ceiling` the part of a step that is no reading counts as no shorter than it
        is there, so that a step takes 1 / ceiling + 1 / (share x fastest) - 1 / fastest; the low
        end rises no more at all.
        """
        if not self.is_beyond(ceiling):
            return self.low * ceiling, self.middle * ceiling, self.high * ceiling
        low = self.low * self.fastest_ceiling
        beside = [(1 / share - 1) / self.fastest_ceiling for share in (self.middle, self.high)]
        return low, 1 / (1 / ceiling + beside[0]), 1 / (1 / ceiling + beside[1])

    def is_beyond(self, ceiling: float) -> bool:
        """Whether no published rate has a step as short."""
        return ceiling > self.fastest_ceiling


PUBLISHED = {
    Kind.NVIDIA: Share(
        0.53, 0.73, 0.87, 469, "9 published rates of RTX 3090, 4090, PRO 6000, H100 and GB10"
    ),
    Kind.APPLE: Share(0.45, 0.78, 0.91, 209, "13 published rates of M1 to M4 Max"),
}
"""By benchmarks/published.toml, with the bytes that each publication gives."""

ALL = Share(0.45, 0.78, 0.91, 469, "22 published rates of Apple and NVIDIA")

ON_PROCESSORS = ALL.holding(
    0.31, "31%, which this project's example run 'demo' reached on two cores"
)
"""No rate of a processor is among the published ones."""


def share_of(kind: Kind) -> Share:
    """What is known of a kind; of all kinds together where nothing is."""
    if kind is Kind.PROCESSOR:
        return ON_PROCESSORS
    return PUBLISHED.get(kind, ALL)
