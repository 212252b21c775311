"""For how long `transform` keeps the loop, with the largest body and the most operations that are the default.

python -m benchmarks.transformation    # milliseconds of processor time, of the shape that takes longest for each change
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from gateway_plugin_transform.changes import Change, ChangeError
from gateway_plugin_transform.config import SHORT_BODY, SHORT_OPERATIONS, ChangeConfig
from gateway_plugin_transform.lines import Lines

from benchmarks.validation import filled

CHANGES: Final[dict[str, dict[str, Any]]] = {
    "remove": {"remove": ["/*/a"]},
    "rename": {"rename": {"/a": "/b"}},
    "set": {"set": {"/*/x": 1}},
    "default": {"default": {"/*": 1}},
    "filter": {"jmespath": "[?a == `1`].{x: a, y: b}"},
    "filter twice": {"jmespath": "[?a == `1` || b][?c]"},
    "functions": {"jmespath": "[?length(@) == `1`]"},
    "sort": {"jmespath": "sort_by(@, &a)"},
    "sum": {"jmespath": "sum(@)"},
    "copies": {"template": {"x": "{{ @ }}", "y": "{{ @ }}"}, "set": {"/z": 1}},
    "all": {"template": ["{{ @ }}", "{{ [?a] }}"], "remove": ["/0/*/a"], "set": {"/0/*/x": 1}},
}
SHAPES: Final[dict[str, tuple[bytes, bytes]]] = {
    "nested": (b"[" * 60 + b"]" * 60, b"[]"),
    "empty objects": (b"{}", b"[]"),
    "objects": (b'{"a":1}', b"[]"),
    "few objects": (b'{"a":1,"b":"' + b"x" * 30 + b'"}', b"[]"),
    "keys": (b'"#":{}', b"{}"),
    "integers": (b"1", b"[]"),
    "fractions": (b"1e9", b"[]"),
    "texts": (b'""', b"[]"),
    "escapes": (b'"\\u00e9"', b"[]"),
}


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the shortest time that something took, whether it was refused or not."""
    times = []
    for _ in range(rounds):
        start = time.thread_time()
        with suppress(ChangeError):
            work()
        times.append(time.thread_time() - start)
    return min(times)


def bodies(rounds: int) -> None:
    texts = {name: filled(*shape, size=SHORT_BODY) for name, shape in SHAPES.items()}
    for kind, config in CHANGES.items():
        change = Change(ChangeConfig.model_validate(config), SHORT_BODY, SHORT_OPERATIONS)
        times = {name: seconds(lambda: change.json(text), rounds) for name, text in texts.items()}  # noqa: B023 - now
        slowest = max(times, key=times.__getitem__)
        print(f"{f'{kind}, body of {len(texts[slowest])} bytes':40s} {times[slowest] * 1e3:8.2f} ms, {slowest}")


def forms(rounds: int) -> None:
    change = Change(ChangeConfig(), SHORT_BODY, SHORT_OPERATIONS)
    for name, form in {"fields": b"&".join([b"a=%61"] * 1000), "escapes": b"a=" + b"%61" * (SHORT_BODY // 3)}.items():
        took = seconds(lambda: change.form(form), rounds)  # noqa: B023 - now
        print(f"{f'form, {name} of {len(form)} bytes':40s} {took * 1e3:8.2f} ms")


def lines(rounds: int) -> None:
    """Print the longest time between two pieces of a body of short lines."""
    config = {"template": {"a": "{{ @ }}", "b": "{{ [?a] }}"}, "set": {"/y": 1}}
    change = Change(ChangeConfig.model_validate(config), SHORT_BODY, SHORT_OPERATIONS)
    for line in (b"1\n", b"{}\n", b"[1,1,1]\n"):
        longest = []
        for _ in range(rounds):
            pieces = Lines(change, SHORT_BODY, lambda why, _: ValueError(why)).feed(line * 10_000)
            longest.append(max(seconds(lambda: next(pieces), 1) for _ in range(5)))  # noqa: B023 - now
        print(f"{f'a piece of lines, {line!r}':40s} {min(longest) * 1e3:8.2f} ms")


if __name__ == "__main__":
    bodies(10)
    forms(10)
    lines(10)
