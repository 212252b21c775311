from __future__ import annotations

from gateway_plugin_sdk import PluginContext
from gateway_tokens.documents import Document, Loaded
from gateway_tokens.freshness import Terms
from gateway_tokens.sharing import acquire, release


async def load() -> Loaded[str]:
    return Loaded("x", 100.0)


async def test_equal_documents_are_one_until_the_last_is_given_back(context: PluginContext) -> None:
    def take(key: str) -> Document[str]:
        return acquire("a", key, load, Terms(), context)

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
