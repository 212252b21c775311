"""For how long `validate` holds the loop: the largest body that it allows by default, in the shapes that take longest.

    python -m benchmarks.validation    # milliseconds per body

What it takes for an ordinary body is a part of `benchmarks.plugins`.
"""

from __future__ import annotations

import time
from pathlib import Path

from gateway_plugin_validate.bodies import Content
from gateway_plugin_validate.config import SHORT_PAUSE
from gateway_plugin_validate.files import Files
from gateway_plugin_validate.media import read_media_type
from gateway_plugin_validate.schemas import Schemas


def filled(item: bytes, brackets: bytes = b"[]", size: int = SHORT_PAUSE) -> bytes:
    """Return JSON of up to a size, of one item again and again; ``#`` in it is a number."""
    items = [item.replace(b"#", b"%x" % index) for index in range(size // (len(item) + 1))]
    while len(body := brackets[:1] + b",".join(items) + brackets[1:]) > size:
        del items[len(items) * size // len(body) :]
    return body


def pauses(rounds: int) -> None:
    """Print how long bodies take to be read, to be compared, and to have their errors listed."""
    texts: dict[str, object] = {"type": "array", "items": {"type": "string", "minLength": 3}}
    objects = {"type": "array", "items": {"type": "object", "required": ["a", "b"]}}
    choices = {"type": "array", "items": {"anyOf": [{"const": 5}, {"type": "string", "format": "email"}, objects]}}
    formats = {"type": "array", "items": {"type": "string", "format": "byte"}}
    names = {"type": "object", "propertyNames": {"pattern": "^[g-z]+$"}, "additionalProperties": {"type": "string"}}
    bodies = {
        "nested": filled(b"[" * 60 + b"]" * 60),
        "empty objects": filled(b"{}"),
        "objects": filled(b'{"a":1}'),
        "keys": filled(b'"#":1', b"{}"),
        "integers": filled(b"1"),
        "long integers": filled(b"7" * 309),
        "fractions": filled(b"1e9"),
        "texts": filled(b'""'),
        "escapes": filled(b'"\\u00e9"'),
    }
    sent = read_media_type("application/json")
    assert sent is not None
    for name, body in bodies.items():
        slowest, errors = 0.0, 0
        for schema in (True, texts, objects, choices, formats, names):
            compiled = Schemas(Files(Path("schema"), schema, is_alone=True), "3.1")
            content = Content(compiled, "application/json", {"schema": schema}, compiled.files.main, "request")
            times = []
            for _ in range(rounds):
                start = time.thread_time()
                found = content.failures(body, sent)
                times.append(time.thread_time() - start)
            if min(times) > slowest:
                slowest, errors = min(times), len(found)
        print(f"{f'{name}, body of {len(body)} bytes':40s} {slowest * 1e3:8.2f} ms, {errors} errors")


if __name__ == "__main__":
    pauses(20)
