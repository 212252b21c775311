from __future__ import annotations

import logging
from typing import Any

from gateway_plugin_auth.documents import Document, Loaded
from gateway_plugin_auth.freshness import Terms
from gateway_plugin_auth.sharing import acquire, release

LOG = logging.getLogger("gateway.plugin.auth")


async def load() -> Loaded[str]:
    return Loaded("x", 100.0)


async def test_equal_documents_are_one_until_the_last_is_given_back(clock: Any) -> None:
    def take(key: str) -> Document[str]:
        return acquire("a", key, load, Terms(), clock, LOG)

    first, second, other = take("k"), take("k"), take("l")
    assert first is second
    assert first is not other

    await release(first)
    assert take("k") is first
    await release(first)
    await release(first)
    again = take("k")

    assert again is not first
    for document in (again, other, first):
        await release(document)
