"""How text that a pod sent is shown on a terminal."""


def printable(text: str) -> str:
    """Return `text` with every character replaced that a terminal would obey instead of showing."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)
