"""Reduce RunPod's published OpenAPI to facts: `python -m tests.emulator.strip_openapi < published > openapi.json`.

Source: the REST v2 specification (info.version 2.0.0) in github.com/runpod/docs. Words, examples and vendor
extensions go; types, bounds, members and status codes stay.
"""

from __future__ import annotations

import json
import sys

WORDS = frozenset({"description", "summary", "example", "examples", "externalDocs", "title"})
NAMED = frozenset({"properties", "schemas", "parameters", "responses", "headers", "securitySchemes", "paths"})
"""Below these, keys are names chosen by the author and never words about the schema."""
DROPPED = frozenset({"info", "servers"})


def strip(node: object, *, names: bool = False) -> object:
    """Return the node without prose; `names` says that its keys are names."""
    if isinstance(node, list):
        return [strip(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if names or (key not in WORDS and not key.startswith("x-"))}
    return {key: strip(value, names=not names and key in NAMED) for key, value in kept.items()}


def main() -> None:
    """Read the published document on stdin and write the reduced one to stdout."""
    published: dict[str, object] = json.load(sys.stdin)
    document = {key: strip(value, names=key in NAMED) for key, value in published.items() if key not in DROPPED}
    source = "github.com/runpod/docs, REST v2 specification, info.version 2.0.0; reduced by strip_openapi.py"
    json.dump({"x-source": source} | document, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
