"""Addresses that can be read."""

import re

from text_unidecode import unidecode


def slug(title: str, longest: int = 60) -> str:
    """The title in plain letters with dashes between its words, at most so many characters."""
    words = re.findall(r"[a-z0-9]+", unidecode(title).lower())
    text = ""
    for word in words:
        joined = f"{text}-{word}" if text else word[:longest]
        if len(joined) > longest:
            break
        text = joined
    return text
