"""The body of a chat request, in the form that a server takes.

Servers differ in what they add to OpenAI's fields and in whether they refuse what they do not
know. A request begins with all that would help and leaves away what is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from runners.base.contract import OptionValue, Request, RequestError
from runners.base.stream import JSON

REFUSALS = (400, 404, 422)
"""HTTP statuses by which servers refuse a field."""
USAGE = "include_usage"
CONTINUOUS = "continuous_usage_stats"
LIMIT = "max_tokens"
NEW_LIMIT = "max_completion_tokens"
OURS = (
    *("messages", "stream", "stream_options", LIMIT, NEW_LIMIT, "temperature", "seed", "n"),
    "cache_salt",
)
"""Fields that bench sets itself."""


@dataclass(frozen=True)
class Form:
    """What requests to one server hold, apart from what they ask."""

    model: str
    extras: Mapping[str, JSON] = field(default_factory=dict)
    """Fields beyond OpenAI's, for which a server may have no use."""
    options: tuple[tuple[str, OptionValue], ...] = ()
    """The user's own fields: they are never left away."""
    usage: tuple[str, ...] = (USAGE, CONTINUOUS)
    """Of stream_options."""
    limit: str = LIMIT
    seeded: bool = True
    tempered: bool = True

    def body(self, request: Request) -> dict[str, JSON]:
        messages: list[JSON] = [asdict(message) for message in request.messages]
        body: dict[str, JSON] = {
            "model": self.model,
            "messages": messages,
            "stream": True,
            self.limit: request.max_tokens,
        }
        if self.tempered:
            body["temperature"] = request.temperature
        if self.seeded:
            body["seed"] = request.seed
        if self.usage:
            body["stream_options"] = dict.fromkeys(self.usage, True)
        return {**body, **self.extras, **dict(self.options)}

    @property
    def words(self) -> str:
        """The fields of a request, for the log: 'model, messages, stream, max_tokens, …'."""
        return ", ".join(self.body(Request((), max_tokens=1)))

    def without_refused(self, error: RequestError) -> Form | None:
        """The form to try after a refusal: without what it names, else without what is least
        needed; None where there is nothing to leave away."""
        if error.status not in REFUSALS:
            return None
        forms = self._poorer()
        named = [form for names, form in forms if any(_names(str(error), name) for name in names)]
        return next(iter([*named, *(form for _, form in forms)]), None)

    def _poorer(self) -> Sequence[tuple[Sequence[str], Form]]:
        """(fields, the form without them), what is least needed first."""
        forms: list[tuple[Sequence[str], Form]] = []
        if self.extras:
            for name in self.extras:
                rest = {key: value for key, value in self.extras.items() if key != name}
                forms.append(([name], self._with(extras=rest)))
        if CONTINUOUS in self.usage:
            forms.append(([CONTINUOUS], self._with(usage=(USAGE,))))
        if self.limit == LIMIT:
            forms.append(([NEW_LIMIT], self._with(limit=NEW_LIMIT)))
        if self.seeded:
            forms.append((["seed"], self._with(seeded=False)))
        if self.usage:
            forms.append((["stream_options", USAGE], self._with(usage=())))
        if self.tempered:
            forms.append((["temperature"], self._with(tempered=False)))
        return forms

    def _with(self, **changes: object) -> Form:
        return Form(**{**vars(self), **changes})


def _names(message: str, name: str) -> bool:
    return re.search(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", message) is not None
