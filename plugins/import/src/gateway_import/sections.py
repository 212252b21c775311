"""A mapping of the imported file, read key by key: what no importer has asked for is known at the end.

So no key is dropped in silence: `Section.rest` has what is left, and each importer reports it as lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gateway_import.failures import CannotImportError, Origin
from gateway_import.nodes import Node

_YES: Final = frozenset({"yes", "on", "true"})
_DIGITS: Final = re.compile("[+-]?[0-9]{1,18}")
_LARGEST_NUMBER: Final = 10**18
"""What no gateway reads as a number."""
_NO: Final = frozenset({"no", "off", "false"})


class Section:
    """The keys of one mapping. Null is the same as no key."""

    def __init__(self, node: Node, what: str = "") -> None:
        """:param what: what messages call the mapping, such as ``service 'users'``."""
        if not isinstance(node.value, dict):
            raise CannotImportError(node.origin, f"{what or 'the document'} must be a mapping, not {node.kind}")
        self.node = node
        self.what = what
        self.origin: Origin = node.origin
        self._entries = node.value
        self._left = dict.fromkeys(key for key, value in node.value.items() if value.value is not None)

    def __contains__(self, key: str) -> bool:
        node = self._entries.get(key)
        return node is not None and node.value is not None

    def names(self) -> list[str]:
        """Return the keys that have a value, in the order of the file; reading marks none of them."""
        return [key for key in self._entries if key in self]

    def take(self, key: str) -> Node | None:
        """Return a key's value, and mark it as read; None if there is none, or null."""
        self._left.pop(key, None)
        return self._entries[key] if key in self else None

    def ignore(self, *keys: str) -> None:
        """Mark keys as read that say nothing about what the gateway does, such as ids and dates."""
        for key in keys:
            self._left.pop(key, None)

    def rest(self) -> Iterator[tuple[str, Node]]:
        """Yield what was not read, in the order of the file."""
        for key in self._left:
            yield key, self._entries[key]

    def origin_of(self, key: str) -> Origin:
        """Return where a key's value stands; the mapping's own place if it is not there."""
        node = self._entries.get(key)
        return self.origin if node is None else node.origin

    def text(self, key: str) -> str | None:
        """Return a text; numbers and booleans count as the text that stands for them."""
        node = self.take(key)
        return None if node is None else self._text(node, key)

    def texts(self, key: str) -> list[str]:
        """Return a list of texts; one text counts as a list of it, and no key as an empty list."""
        return [self._text(node, key) for node in self.nodes(key)]

    def nodes(self, key: str) -> list[Node]:
        """Return a list of values; one value counts as a list of it, and no key as an empty list."""
        node = self.take(key)
        if node is None:
            return []
        return node.value if isinstance(node.value, list) else [node]

    def boolean(self, key: str) -> bool | None:
        """Return true or false; ``yes``, ``on``, ``no`` and ``off`` count, as in YAML 1.1."""
        node = self.take(key)
        if node is None or isinstance(node.value, bool):
            return None if node is None else bool(node.value)
        word = node.value.lower() if isinstance(node.value, str) else ""
        if word not in _YES | _NO:
            raise self._wrong(node, key, "true or false")
        return word in _YES

    def number(self, key: str) -> int | float | None:
        """Return a number; a text of digits counts."""
        node = self.take(key)
        return None if node is None else self._number(node, key)

    def integer(self, key: str) -> int | None:
        """Return a whole number."""
        node = self.take(key)
        return None if node is None else self._integer(node, key)

    def integers(self, key: str) -> list[int]:
        """Return a list of whole numbers; one counts as a list of it, and no key as an empty list."""
        return [self._integer(node, key) for node in self.nodes(key)]

    def section(self, key: str, what: str = "") -> Section | None:
        """Return a mapping."""
        node = self.take(key)
        return None if node is None else Section(node, what or self._named(key))

    def sections(self, key: str, what: str = "") -> list[Section]:
        """Return a list of mappings; none if the key is not there."""
        node = self.take(key)
        if node is None:
            return []
        if not isinstance(node.value, list):
            raise self._wrong(node, key, "a list")
        return [Section(each, what or f"an entry of {self._named(key)}") for each in node.value]

    def texts_by_key(self, key: str) -> dict[str, str]:
        """Return a mapping of texts; an empty one if the key is not there."""
        section = self.section(key)
        return {} if section is None else {name: section.text(name) or "" for name in section.names()}

    def _integer(self, node: Node, key: str) -> int:
        number = self._number(node, key)
        if int(number) != number:
            raise self._wrong(node, key, "a whole number")
        return int(number)

    def _number(self, node: Node, key: str) -> int | float:
        value = node.value
        if isinstance(value, str):
            value = int(value) if _DIGITS.fullmatch(value) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= _LARGEST_NUMBER:
            raise self._wrong(node, key, "a number of usual size")
        return value

    def _text(self, node: Node, key: str) -> str:
        value = node.value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, dict | list) or value is None:
            raise self._wrong(node, key, "a text")
        return str(value)

    def _wrong(self, node: Node, key: str, wanted: str) -> CannotImportError:
        return CannotImportError(node.origin, f"{self._named(key)} must be {wanted}, not {node.kind}")

    def _named(self, key: str) -> str:
        return f"{key!r} of {self.what}" if self.what else repr(key)
