from __future__ import annotations

import pytest
from gateway_plugin_oidc.sealing import Sealer, as_text, from_text
from hypothesis import given
from hypothesis import strategies as st

CONTEXT = ("oidc", "https://issuer|web")
OLD, NEW = "o" * 32, "n" * 32


@given(st.binary(max_size=200))
def test_what_was_sealed_is_opened_as_it_was(data: bytes) -> None:
    sealer = Sealer([NEW], CONTEXT)

    sealed = sealer.seal(data, "session", "a.example")

    assert sealer.unseal(sealed, "session", "a.example") == data
    assert from_text(as_text(sealed)) == sealed
    assert sealer.seal(data, "session", "a.example") != sealed


@pytest.mark.parametrize(
    ("context", "purpose", "host"),
    [
        (CONTEXT, "attempt", "a.example"),
        (CONTEXT, "session", "b.example"),
        (("other", CONTEXT[1]), "session", "a.example"),
        (("oidc", "https://issuer|other"), "session", "a.example"),
        (("oidch", "ttps://issuer|web"), "session", "a.example"),
    ],
)
def test_purpose_binding_provider_and_host_are_bound_to_it(context: tuple[str, str], purpose: str, host: str) -> None:
    sealed = Sealer([NEW], CONTEXT).seal(b"x", "session", "a.example")

    assert Sealer([NEW], context).unseal(sealed, purpose, host) is None


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_changed_byte_is_noticed(position: int, difference: int) -> None:
    sealer = Sealer([NEW], CONTEXT)
    sealed = bytearray(sealer.seal(b"some data", "session", "a"))

    sealed[position % len(sealed)] ^= difference

    assert sealer.unseal(bytes(sealed), "session", "a") is None


def test_every_key_opens_and_the_first_seals() -> None:
    old = Sealer([OLD], CONTEXT).seal(b"x", "session", "a")
    both = Sealer([NEW, OLD], CONTEXT)

    assert both.unseal(old, "session", "a") == b"x"
    assert not both.is_of_first_key(old)
    assert both.is_of_first_key(both.seal(b"x", "session", "a"))
    assert Sealer([NEW], CONTEXT).unseal(old, "session", "a") is None


@given(st.text(max_size=60))
def test_a_text_has_one_spelling_and_others_are_nothing(text: str) -> None:
    data = from_text(text)

    assert data == b"" or as_text(data) == text
    assert Sealer([NEW], CONTEXT).unseal(data, "session", "a") is None
