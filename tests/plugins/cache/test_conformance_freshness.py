"""How long responses are used (RFC 9111 sections 4.2 and 5): cases as in `test_conformance`, in the suite's groups."""

from __future__ import annotations

import pytest

from tests.plugins.cache.cases import FRESH, Case, date, outcomes, stored_by
from tests.plugins.cache.conftest import CachedRoute

FRESHNESS: dict[str, Case] = {
    "none is stated": (stored_by(after=3), "forwarded"),
    **{
        control: (stored_by(("Cache-Control", control), after=3), expected)
        for control, expected in {
            "max-age=3600": "stored", "max-age=2": "forwarded", "max-age=0": "forwarded", "MaX-aGe=3600": "stored",
            "max-age=2147483647": "stored", "max-age=2147483648": "stored", "max-age=2147483649": "stored",
            "max-age=99999999999": "stored", "foobar, max-age=3600": "stored", "max-age=-3600": "forwarded",
            "s-maxage=3600": "stored", "max-age=3600, s-maxage=1": "forwarded", "s-maxage=1, max-age=3600": "forwarded",
            "max-age=1, s-maxage=3600": "stored",
        }.items()
    },
    "two fields": (stored_by(("Cache-Control", "max-age=3600"), ("Cache-Control", "s-maxage=1"), after=3), "forwarded"),
    "Age above it": (stored_by(FRESH, ("Age", "7200"), ("Date", date(0)), after=3), "forwarded"),
    "a Date before that": (stored_by(FRESH, ("Date", date(-7200)), after=3), "forwarded"),
    "past Expires": (stored_by(FRESH, ("Expires", date(-7200)), ("Date", date(0)), after=3), "stored"),
    "Expires that is no date": (stored_by(FRESH, ("Expires", "0"), ("Date", date(0)), after=3), "stored"),
    "future Expires, max-age=0": (
        stored_by(("Expires", date(3600)), ("Cache-Control", "max-age=0"), ("Date", date(0)), after=3), "forwarded",
    ),
    "past Expires, s-maxage": (
        stored_by(("Expires", date(-10)), ("Cache-Control", "max-age=0, s-maxage=3600"), after=3), "stored",
    ),
}  # fmt: skip

SYNTAX: dict[str, Case] = {
    control: (stored_by(("Cache-Control", control), after=3), expected)
    for control, expected in {
        "max-age=1800, max-age=1": "forwarded", "max-age=1, max-age=1800": "forwarded",
        'extension="max-age=3600", max-age=1': "forwarded", 'max-age=1, extension="max-age=3600"': "forwarded",
        'max-age="3600"': "stored", "max-age='3600'": "forwarded", "max-age =3600": "forwarded",
        "max-age= 3600": "forwarded", "max-age=003600": "stored", "max-age=3600.0": "forwarded",
        "max-age=3600.5": "forwarded", "max-age=a3600": "forwarded", "max-age=3600a": "forwarded",
    }.items()
} | {
    f"{first}, then {second} in a second line": (
        stored_by(("Cache-Control", first), ("Cache-Control", second), after=3), "forwarded",
    )
    for first, second in (("max-age=1800", "max-age=1"), ("max-age=1", "max-age=1800"))
}  # fmt: skip


def expiring(value: str, expected: str, *others: tuple[str, str]) -> Case:
    """Return a case of a response with Expires, looked at after a moment."""
    return stored_by(("Expires", value), *(others or [("Date", date(0))]), after=0.5), expected


EXPIRES: dict[str, Case] = {
    "future": expiring(date(2_592_000), "stored"),
    "past": expiring(date(-2_592_000), "forwarded"),
    "present": expiring(date(0), "forwarded"),
    "older than Date, both fast": expiring(date(300), "forwarded", ("Date", date(400))),
    "0": expiring("0", "forwarded"),
    "Date that is none": expiring(date(10), "stored", ("Date", "foo")),
    "Age above it, Date slow": expiring(date(10), "forwarded", ("Date", date(-10)), ("Age", "25")),
    "Age above it, Date fast": expiring(date(20), "forwarded", ("Date", date(10)), ("Age", "15")),
    **{
        value: expiring(value, "forwarded")
        for value in (
            "THU, 18 Aug 2050 02:01:18 GMT", "Thu, 18 AUG 2050 02:01:18 GMT", "Thu, 18 Aug 2050 02:01:18 gMT",
            "Thu, 18 Aug 2050 02:01:18 UTC", "Thu, 18 Aug 50 02:01:18 GMT", "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT", "Thu, 18-Aug-2050 02:01:18 GMT", "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
        )
    },
}  # fmt: skip

AGES: dict[str, Case] = {
    " | ".join(ages): (stored_by(FRESH, ("Date", date(0)), *[("Age", age) for age in ages], after=3), expected)
    for ages, expected in [
        (("abc",), "stored"), (("-7200",), "stored"), (("7200.0",), "stored"), (("7200,0",), "forwarded"),
        (("7200", "0"), "forwarded"), (("0,7200",), "stored"), (("0", "7200"), "stored"), (("0, 0",), "stored"),
        (("0", "0"), "stored"), (("7200, 7200",), "forwarded"), (("7200", "7200"), "forwarded"),
    ]
}  # fmt: skip


@pytest.mark.parametrize(
    "cases",
    [
        pytest.param(FRESHNESS, id="4.2 freshness by Cache-Control"),
        pytest.param(SYNTAX, id="5.2 syntax of Cache-Control"),
        pytest.param(EXPIRES, id="5.3 Expires"),
        pytest.param(AGES, id="5.1 Age"),
    ],
)
def test_what_becomes_of_a_request_after_some_time(cached: CachedRoute, cases: dict[str, Case]) -> None:
    route = cached()

    assert outcomes(route, cases) == {name: expected for name, (_, expected) in cases.items()}
