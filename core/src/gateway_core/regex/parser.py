"""Parse what `re` compiles, into a tree of our own.

The parser is only handed patterns that ``re.compile`` accepted, so it never judges: it has to find the structure that
`re` found. Both engines and the estimate of work start from this tree; the differential tests hold it against `re`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from gateway_core.regex.nodes import (
    Alternatives,
    Anchor,
    Atomic,
    Backreference,
    Chars,
    Concat,
    Conditional,
    Group,
    Look,
    Node,
    Range,
    Repeat,
)

_CONTROLS: Final = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_HEX_DIGITS: Final = {"x": 2, "u": 4, "U": 8}
_ANCHORS: Final = {"A": "start", "Z": "end", "b": "boundary", "B": "no_boundary"}
_QUANTIFIER: Final = re.compile(r"\{([0-9]*)(,?)([0-9]*)\}")
_FLAGS: Final = re.compile(r"\(\?([aiLmsux]*)(?:-([imsx]+))?([:)])")
_GROUP: Final = re.compile(r"\?P<([^>]*)>|\?P=[^)]*\)|\?(=|!|<=|<!|>)|\?\(([^)]*)\)")
_OCTAL: Final = re.compile(r"0[0-7]{0,2}|[0-3][0-7]{2}")
_CLASS_OCTAL: Final = re.compile(r"[0-7]{1,3}")
_REFERENCE: Final = re.compile(r"[1-9][0-9]?")
_ANY: Final = ((0, 0x10FFFF),)


class Parser:
    """One run over one pattern. ``ends`` are the places of ``$`` that mean the end of the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.flags = frozenset("s")
        self.ends: list[int] = []

    def parse(self) -> Node:
        """Return the tree of the whole pattern."""
        return self._alternatives()

    @property
    def is_done(self) -> bool:
        """Whether the whole pattern was understood."""
        return self.position == len(self.text)

    def _alternatives(self) -> Node:
        branches = [self._concat()]
        while self._peek() == "|":
            self.position += 1
            branches.append(self._concat())
        return branches[0] if len(branches) == 1 else Alternatives(tuple(branches))

    def _concat(self) -> Node:
        items: list[Node] = []
        while self.position < len(self.text) and self._peek() not in ("|", ")"):
            if "x" in self.flags and self._skip_verbose():
                continue
            item = self._atom()
            if item is None:
                continue
            items.append(self._quantified(item))
        return items[0] if len(items) == 1 else Concat(tuple(items))

    def _peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def _skip_verbose(self) -> bool:
        character = self._peek()
        if character == "#":
            end = self.text.find("\n", self.position)
            self.position = len(self.text) if end < 0 else end + 1
            return True
        if character and character in " \t\n\r\v\f":
            self.position += 1
            return True
        return False

    def _skip_comment(self) -> bool:
        if not self.text.startswith("(?#", self.position):
            return False
        self.position = self.text.index(")", self.position) + 1
        return True

    def _atom(self) -> Node | None:
        """Return the next item; ``None`` for flags and comments."""
        start, character = self.position, self._peek()
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        self.position += 1
        if character == ".":
            newline_too = "s" in self.flags
            return self._chars(start, _ANY) if newline_too else self._chars(start, ((10, 10),), negated=True)
        if character == "^":
            return Anchor("line_start" if "m" in self.flags else "start")
        if character == "$":
            if "m" in self.flags:
                return Anchor("line_end")
            self.ends.append(start)
            return Anchor("end")
        if character == "\\":
            return self._escape(start)
        return self._chars(start, ((ord(character), ord(character)),))

    def _chars(self, start: int, ranges: tuple[Range, ...], categories: str = "", *, negated: bool = False) -> Chars:
        source = self.text[start : self.position]
        return Chars(source, ranges, categories, negated, "i" in self.flags, "a" in self.flags)

    def _quantified(self, item: Node) -> Node:
        while self._skip_comment() or ("x" in self.flags and self._skip_verbose()):
            pass
        bounds = self._bounds()
        if bounds is None:
            return item
        least, most = bounds
        mark = self._peek()
        if mark and mark in "?+":
            self.position += 1
        return Repeat(item, least, most, lazy=mark == "?", possessive=mark == "+")

    def _bounds(self) -> tuple[int, int | None] | None:
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(self._peek())
        if simple is not None:
            self.position += 1
            return simple
        found = _QUANTIFIER.match(self.text, self.position)
        if found is None or (not found[1] and not found[2]):
            return None
        self.position = found.end()
        least = int(found[1] or 0)
        if not found[2]:
            return (least, least)
        return (least, int(found[3]) if found[3] else None)

    def _group(self) -> Node | None:
        if self._skip_comment():
            return None
        flags = _FLAGS.match(self.text, self.position)
        if flags is not None:
            before = self.flags
            added = frozenset(flags[1])
            removed = frozenset("a") if "u" in added else frozenset()
            self.flags = (self.flags | added) - frozenset(flags[2] or "") - removed
            self.position = flags.end()
            return None if flags[3] == ")" else self._closed(before)
        self.position += 1
        kind = _GROUP.match(self.text, self.position)
        if kind is None:
            return Group(self._closed(self.flags))
        self.position = kind.end()
        if kind[1] is not None:
            return Group(self._closed(self.flags), kind[1])
        if kind[3] is not None:
            item = self._closed(self.flags)
            return Conditional(item.items if isinstance(item, Alternatives) else (item, Concat(())))
        if kind[2] is None:
            return Backreference()
        item = self._closed(self.flags)
        return Atomic(item) if kind[2] == ">" else Look(item, behind="<" in kind[2])

    def _closed(self, flags: frozenset[str]) -> Node:
        """Return the rest of a group, and leave with the flags from before it."""
        item = self._alternatives()
        self.position += 1
        self.flags = flags
        return item

    def _escape(self, start: int) -> Node:
        character = self._peek()
        if character in _ANCHORS:
            self.position += 1
            return Anchor(_ANCHORS[character], "a" in self.flags)
        if character in "dDsSwW":
            self.position += 1
            return self._chars(start, (), character)
        octal = _OCTAL.match(self.text, self.position)
        reference = _REFERENCE.match(self.text, self.position)
        if octal is None and reference is not None:
            self.position = reference.end()
            return Backreference()
        code = self._code(octal)
        return self._chars(start, ((code, code),))

    def _code(self, octal: re.Match[str] | None) -> int:
        """Return the character that an escape stands for, the position being behind its backslash."""
        if octal is not None:
            self.position = octal.end()
            return int(octal[0], 8)
        character = self._peek()
        self.position += 1
        if character in _HEX_DIGITS:
            begin, self.position = self.position, self.position + _HEX_DIGITS[character]
            return int(self.text[begin : self.position], 16)
        if character == "N":
            end = self.text.index("}", self.position)
            name = self.text[self.position + 1 : end]
            self.position = end + 1
            return ord(unicodedata.lookup(name))
        return _CONTROLS.get(character, ord(character))

    def _class(self) -> Chars:
        start = self.position
        self.position += 1
        negated = self._peek() == "^"
        self.position += negated
        ranges: list[Range] = []
        categories = ""
        first = self.position
        while self._peek() != "]" or self.position == first:
            low = self._member()
            if isinstance(low, str):
                categories += low
                continue
            high: int | str = low
            if self._peek() == "-" and self.text[self.position + 1 : self.position + 2] != "]":
                self.position += 1
                high = self._member()
            assert isinstance(high, int)
            ranges.append((low, high))
        self.position += 1
        return self._chars(start, tuple(ranges), categories, negated=negated)

    def _member(self) -> int | str:
        """Return a character of a class, or the letter of a category."""
        character = self._peek()
        self.position += 1
        if character != "\\":
            return ord(character)
        character = self._peek()
        if character in "dDsSwW":
            self.position += 1
            return character
        return self._code(_CLASS_OCTAL.match(self.text, self.position))
