from __future__ import annotations

import pytest
from gateway_plugin_aggregate.caching import cache_control_of, read_cacheability
from gateway_plugin_sdk import Headers
from hypothesis import given
from hypothesis import strategies as st

NOW = 1_700_000_000
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
MINUTE_LATER = "Tue, 14 Nov 2023 22:14:20 GMT"


def merged(*parts: dict[str, str], restrictions: tuple[str, ...] = (), authorization: bool = False) -> str | None:
    read = [read_cacheability(Headers(each), NOW, has_authorization=authorization) for each in parts]
    return cache_control_of(read, restrictions)


def control(value: str, **more: str) -> dict[str, str]:
    return {"Cache-Control": value, **{name.replace("_", "-"): text for name, text in more.items()}}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([{}, {}], None),
        ([control("max-age=60"), control("max-age=10")], "max-age=10"),
        ([control("max-age=60", Age="55"), control("max-age=10")], "max-age=5"),
        ([control("max-age=60", Age="99")], "max-age=0"),
        ([control("max-age=60"), {}], "no-cache"),
        ([control("max-age=60"), control("no-store")], "no-store"),
        ([control("max-age=60"), control("private, max-age=90")], "private, max-age=60"),
        ([control("private"), control("no-store, private")], "private, no-store"),
        ([control("public, max-age=60"), control("max-age=60")], "max-age=60"),
        ([control("public, max-age=60"), control("public, max-age=50")], "public, max-age=50"),
        ([control("max-age=60, s-maxage=600"), control("max-age=300")], "max-age=60, s-maxage=300"),
        ([control("s-maxage=600"), control("max-age=300")], "s-maxage=300"),
        ([control("s-maxage=600"), control("private, max-age=300")], "private, no-cache"),
        ([control("no-cache"), control("max-age=300")], "no-cache"),
        ([{"Pragma": "no-cache"}, control("max-age=300")], "no-cache"),
        (
            [control("max-age=9, must-revalidate"), control("max-age=9, no-transform")],
            "max-age=9, no-transform, must-revalidate",
        ),
        ([{"Expires": MINUTE_LATER, "Date": DATE}, control("max-age=90")], "max-age=60"),
        ([{"Expires": MINUTE_LATER}], "max-age=60"),
        ([{"Expires": "0"}], "max-age=0"),
        ([control("max-age=soon")], "max-age=0"),
        ([control("max-age=5, max-age=6")], "max-age=0"),
        ([control('max-age="5"')], "max-age=5"),
        ([control("MAX-AGE=5")], "max-age=5"),
        ([control('max-age=5, x="a, no-store"')], "max-age=5"),
        ([control('max-age=5, private="Set-Cookie"')], "private, max-age=5"),
        ([control('max-age=5, "')], "no-store"),
        ([control("max-age=5, " + "x," * 4000)], "no-store"),
        ([control("max-age=999999999999")], "max-age=2147483648"),
        ([control("max-age=99999999999999999999999")], "max-age=0"),
        ([control("max-age=60", CDN_Cache_Control="max-age=5")], "max-age=60, s-maxage=5"),
        ([control("max-age=60", CDN_Cache_Control="no-store")], "no-store"),
        ([control("max-age=60", Age="x")], "max-age=0"),
        ([control("max-age=60, stale-while-revalidate=600, immutable")], "max-age=60"),
    ],
)
def test_the_least_fresh_part_and_each_restriction_count(parts: list[dict[str, str]], expected: str | None) -> None:
    assert merged(*parts) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max-age=5", "private, max-age=5"),
        ("public, max-age=5", "public, max-age=5"),
        ("max-age=5, must-revalidate", "max-age=5, must-revalidate"),
        ("s-maxage=5", "s-maxage=5"),
    ],
)
def test_a_response_to_credentials_is_shared_only_by_permission(value: str, expected: str) -> None:
    assert merged(control(value), authorization=True) == expected


def test_restrictions_of_the_plugin_count() -> None:
    assert merged(control("public, max-age=5"), restrictions=("private",)) == "private, max-age=5"
    assert merged({}, restrictions=("no-store",)) == "no-store"


def test_fields_that_are_varied_on_are_read() -> None:
    read = read_cacheability(Headers([("Vary", "Accept, X-A"), ("Vary", "x-b")]), NOW, has_authorization=False)

    assert read.vary == {"accept", "x-a", "x-b"}


_values = st.lists(
    st.sampled_from(
        ["no-store", "private", "no-cache", "public", "max-age=5", "max-age=9", "s-maxage=7", "must-revalidate"]
    ),
    max_size=4,
).map(", ".join)


@given(st.lists(_values, min_size=1, max_size=3))
def test_a_response_is_never_more_cacheable_than_a_part(values: list[str]) -> None:
    made = merged(*({"Cache-Control": each} if each else {} for each in values)) or ""
    directives = {each.partition("=")[0]: each.partition("=")[2] for each in made.split(", ") if each}

    for value in values:
        part = read_cacheability(Headers({"Cache-Control": value} if value else {}), NOW, has_authorization=False)
        assert "no-store" not in part.directives or "no-store" in directives
        assert "private" not in part.directives or directives.keys() & {"private", "no-store"}
        assert "no-cache" not in part.directives or directives.keys() & {"no-cache", "no-store"}
        assert "public" not in directives or "public" in part.directives
        if "max-age" in directives:
            assert part.for_one is not None
            assert int(directives["max-age"]) <= part.for_one
        if "s-maxage" in directives:
            assert part.for_all is not None
            assert int(directives["s-maxage"]) <= part.for_all
