"""A GGUF file's metadata under its architecture's prefix."""

from __future__ import annotations

from harness.models.errors import ModelFileError
from harness.models.gguf import Header, Value


class GgufKeys:
    """Counts of one architecture; `name` is what messages call the file."""

    def __init__(self, header: Header, architecture: str, name: str) -> None:
        self._header = header
        self.architecture = architecture
        self._name = name

    def raw(self, key: str) -> Value | None:
        return self._header.values.get(f"{self.architecture}.{key}")

    def count(self, key: str, default: int, *, layer: int = 0) -> int:
        """A count; from an array with one for each layer, the layer's.

        Raises:
            ModelFileError: it is no count.
        """
        value = self._header.values.get(f"{self.architecture}.{key}", default)
        if isinstance(value, tuple):
            value = value[layer] if layer < len(value) else default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or value < 0:
            raise ModelFileError(
                f"{self._name} is damaged: {self.architecture}.{key} is {value!r:.40}, not a count"
            )
        return value

    def largest(self, key: str) -> int:
        """The largest of an array's counts, or the one that there is; 0 where there is none.

        Raises:
            ModelFileError: one of them is no count.
        """
        value = self.raw(key)
        items = len(value) if isinstance(value, tuple) else 1
        return max((self.count(key, 0, layer=layer) for layer in range(items)), default=0)
