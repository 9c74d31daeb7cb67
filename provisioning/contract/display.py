"""Escaping of text from a pod for a terminal."""


def printable(text: str) -> str:
    """Return `text` with control characters replaced by question marks."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)
