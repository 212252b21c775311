"""Values of Valkey: what is written comes back, and nothing else raises."""

from __future__ import annotations

import json

from gateway_plugin_cache.config import CacheConfig
from gateway_plugin_cache.entries import Entry
from gateway_plugin_cache.freshness import policy_of
from gateway_plugin_cache.stores.wire import SharedEntry, decode, encode_entry, encode_names, key_of
from gateway_plugin_sdk import Headers
from hypothesis import given
from hypothesis import strategies as st

POLICY = policy_of(Headers(), 200, 0.0, CacheConfig())
PARTS = st.recursive(st.none() | st.text() | st.binary(), lambda part: st.lists(part, max_size=3).map(tuple))


@given(PARTS, PARTS, PARTS)
def test_keys_are_the_same_for_the_same_parts_alone(one: object, two: object, three: object) -> None:
    assert (key_of(one, two) == key_of(one, three)) is (two == three)
    assert key_of(one, two) != key_of((one, two))
    assert key_of(one, two) != key_of(one, two, three)


@given(st.binary(max_size=50), st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_what_is_written_comes_back(body: bytes, text: str) -> None:
    headers = Headers([("X-Text", text.strip()), ("X-Two", "1"), ("X-Two", "\xe9")])
    entry = Entry("http://a/", (), ("accept",), 200, headers, body, POLICY, 0.0, frozenset(), False, (3, 4))

    found = decode("k", encode_entry("k", entry, 1.5, 2.5))

    assert isinstance(found, SharedEntry)
    assert (found.url, found.vary, found.status, found.body, found.seen) == (
        "http://a/",
        ("accept",),
        200,
        body,
        (3, 4),
    )
    assert list(found.headers.items()) == list(headers.items())
    assert (found.generated_at, found.received) == (1.5, 2.5)
    assert decode("k", encode_names("k", ("accept", "b"))) == ("accept", "b")
    assert decode("other", encode_entry("k", entry, 1.5, 2.5)) is None


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists)


@given(
    st.dictionaries(
        st.sampled_from(["url", "vary", "status", "headers", "generated_at", "received", "seen", "length"]), JSON
    )
)
def test_no_value_raises(changes: dict[str, object]) -> None:

    entry = Entry("http://a/", (), (), 200, Headers(), b"x", POLICY, 0.0, frozenset(), False)
    form, head, body = encode_entry("k", entry, 1.0, 1.0).split(b"\n")

    decode("k", b"\n".join((form, json.dumps({**json.loads(head), **changes}).encode(), body)))
    decode("k", json.dumps(changes).encode())
