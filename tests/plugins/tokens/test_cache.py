from __future__ import annotations

from gateway_tokens.cache import VerifiedCache
from hypothesis import given
from hypothesis import strategies as st


def test_the_entry_that_was_put_first_goes_first() -> None:
    cache: VerifiedCache[int] = VerifiedCache(2)

    for number, text in enumerate("abac"):
        cache.put(cache.digest(text), number)

    assert [cache.get(cache.digest(text)) for text in "abc"] == [2, None, 3]
    cache.drop(cache.digest("a"))
    cache.drop(cache.digest("a"))
    assert len(cache) == 1
    cache.clear()
    assert len(cache) == 0


@given(st.integers(0, 5), st.lists(st.text(max_size=2)))
def test_it_is_never_larger_than_its_size(size: int, texts: list[str]) -> None:
    cache: VerifiedCache[str] = VerifiedCache(size)

    for text in texts:
        cache.put(cache.digest(text), text)
        assert len(cache) <= size
    assert all(cache.get(cache.digest(text)) in {text, None} for text in texts)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 250)), max_size=30))
def test_it_is_never_heavier_than_its_bytes(puts: list[tuple[str, int]]) -> None:
    cache: VerifiedCache[int] = VerifiedCache(3, 80)
    weights: dict[str, int] = {}

    for text, weight in puts:
        weights[text] = weight
        cache.put(cache.digest(text), weight, weight)
        kept = [text for text in weights if cache.get(cache.digest(text)) is not None]
        assert sum(weights[text] for text in kept) <= 240
        assert (cache.get(cache.digest(text)) == weight) is (weight <= 240)
    for text in weights:
        cache.drop(cache.digest(text))
    cache.put(cache.digest("whole"), 240, 240)
    assert len(cache) == 1


def test_credentials_are_not_kept_and_look_different_in_each_cache() -> None:
    first, second = VerifiedCache[int](9), VerifiedCache[int](9)

    assert first.digest("a") == first.digest("a") != first.digest("b")
    assert first.digest("a") != second.digest("a")
    assert len(first.digest("\udcff" * 100)) == 32
