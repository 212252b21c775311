"""What `re` does, as simply as possible: it tries every path, and counts the characters that it looks at."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

from gateway_core.regex.nodes import Alternatives, Chars, Concat, Group, Node, Repeat

Then = Callable[[int], None]


class _EnoughError(Exception):
    pass


class Backtracker:
    """Tries all paths of a pattern through a text, as over a text that does not match in the end."""

    def __init__(self, text: str, most: int) -> None:
        self.text = text
        self.most = most
        self.steps = 0

    def run(self, node: Node) -> int:
        """Return the number of steps, a little more than ``most`` if there are more."""
        with suppress(_EnoughError):
            self._try(node, 0, lambda _: None)
        return self.steps

    def _try(self, node: Node, place: int, then: Then) -> None:
        match node:
            case Chars():
                self._char(node, place, then)
            case Concat(items):
                self._concat(items, place, then)
            case Alternatives(items):
                for item in items:
                    self._try(item, place, then)
            case Group(item):
                self._try(item, place, then)
            case Repeat():
                self._repeat(node, 0, place, then)
            case _:
                then(place)

    def _char(self, chars: Chars, place: int, then: Then) -> None:
        self.steps += 1
        if self.steps > self.most:
            raise _EnoughError
        flags = re.DOTALL | re.IGNORECASE * chars.ignore_case | re.ASCII * chars.ascii_only
        source = r"[^\n]" if chars.source == "." and chars.negated else chars.source
        if place < len(self.text) and re.fullmatch(source, self.text[place], flags):
            then(place + 1)

    def _concat(self, items: tuple[Node, ...], place: int, then: Then) -> None:
        if not items:
            then(place)
            return
        self._try(items[0], place, lambda end: self._concat(items[1:], end, then))

    def _repeat(self, repeat: Repeat, count: int, place: int, then: Then) -> None:
        def again(end: int) -> None:
            # A round that takes nothing ends the loop, as in `re`.
            if end != place or count < repeat.least:
                self._repeat(repeat, count + 1, end, then)

        if repeat.most is None or count < repeat.most:
            self._try(repeat.item, place, again)
        if count >= repeat.least:
            then(place)
