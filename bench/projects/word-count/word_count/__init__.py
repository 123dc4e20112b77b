"""Counts the words of a text."""

import re
from collections import Counter

WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def count(text: str) -> Counter[str]:
    """Each word in lower case, with how often it stands in the text."""
    return Counter(word.lower() for word in WORD.findall(text))
