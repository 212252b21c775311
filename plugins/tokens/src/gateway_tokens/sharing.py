"""One document for all bindings that name it: a thousand routes with one issuer fetch its keys once."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from gateway_plugin_sdk import PluginContext

from gateway_tokens.documents import Document, Load
from gateway_tokens.freshness import Terms

ValueT = TypeVar("ValueT")


class _Shared:
    __slots__ = ("document", "users")

    def __init__(self, document: Document[Any]) -> None:
        self.document = document
        self.users = 0


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Shared]] = WeakKeyDictionary()


def acquire(name: str, key: Hashable, load: Load[ValueT], terms: Terms, context: PluginContext) -> Document[ValueT]:
    """Return the document of a name and key; start it, and give it back with `release`.

    It lives as long as somebody has it, so it also survives a reload, whose new bindings come before the old ones go.

    :param key: what beside the name and the clock makes two documents the same.
    """
    shared = _by_loop.setdefault(asyncio.get_running_loop(), {})
    whole = (name, key, id(context.clock))
    entry = shared.get(whole)
    if entry is None:
        entry = shared[whole] = _Shared(Document(name, load, terms, context.clock, context.log, context.metrics))
    entry.users += 1
    return entry.document


async def release(document: Document[Any]) -> None:
    """Give a document back; the last one to do so ends its refreshing."""
    shared = _by_loop.get(asyncio.get_running_loop(), {})
    for key, entry in list(shared.items()):
        if entry.document is document:
            entry.users -= 1
            if entry.users == 0:
                del shared[key]
                await document.aclose()
            return
