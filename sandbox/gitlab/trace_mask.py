"""Values that no trace shows: replaced line by line, so that one that comes in pieces is found as well."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MASKED = "[MASKED]"
LONGEST_LINE = 64 * 1024


class Mask:
    """Hides values in a stream of bytes; what is not yet a whole line waits for its rest."""

    def __init__(self, values: Iterable[str]) -> None:
        """The longest value first, so that none hides a part of another."""
        self._values = sorted({value for value in values if value}, key=len, reverse=True)
        self._longest = max((len(value) for value in self._values), default=0)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> str:
        """What can be shown now; of a line without an end all but as much as a value is long."""
        self._rest += self._decoder.decode(data)
        at = self._rest.rfind("\n") + 1
        if not at and len(self._rest) > LONGEST_LINE:
            self._rest = self.hidden(self._rest)
            at = len(self._rest) - self._longest
        whole, self._rest = self._rest[:at], self._rest[at:]
        return self.hidden(whole)

    def end(self) -> str:
        """What is left, at the end of the stream."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return self.hidden(rest)

    def hidden(self, text: str) -> str:
        """The text without the values."""
        for value in self._values:
            text = text.replace(value, MASKED)
        return text
