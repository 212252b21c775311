"""Requirements of RFC 9111 and of what it refers to, case by case, in the groups of the suite http-tests/cache-tests.

The numbers of groups are sections of RFC 9111.

Each case sends requests for a URL of its own; what became of the last one is compared:

- ``stored``: the upstream was not asked; ``forwarded``: it was, without a condition of the cache or the client;
- ``etag`` or ``date``: it was asked with If-None-Match or with If-Modified-Since;
- ``stale``: it was asked in vain, and the client got what was stored.

A status other than 200 stands behind that. Where the suite would have a response used and this cache does not, or a
question of the suite has no one answer, docs/caching.md has the reason ("Decisions"). Freshness is in
`test_conformance_freshness`, fields that are stored in `test_stored_fields`.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.plugins.cache.cases import BRIEF, ETAG, FRESH, Case, Pairs, Step, date, outcomes, stored_by
from tests.plugins.cache.conftest import CachedRoute

REQUEST_DIRECTIVES: dict[str, Case] = {
    "max-age=0": (stored_by(FRESH, sent=[("Cache-Control", "max-age=0")], after=3), "forwarded"),
    "max-age=1": (stored_by(FRESH, sent=[("Cache-Control", "max-age=1")], after=3), "forwarded"),
    "max-age above the age": (stored_by(FRESH, sent=[("Cache-Control", "max-age=10")], after=3), "stored"),
    "max-age below Age": (stored_by(FRESH, ("Age", "1800"), sent=[("Cache-Control", "max-age=600")]), "forwarded"),
    "max-stale": (stored_by(BRIEF, sent=[("Cache-Control", "max-stale=1000")], after=3), "forwarded"),
    "max-stale, Age": (
        stored_by(("Cache-Control", "max-age=1500"), ("Age", "2000"), sent=[("Cache-Control", "max-stale=1000")]),
        "forwarded",
    ),
    "min-fresh": (stored_by(FRESH, sent=[("Cache-Control", "min-fresh=4000")]), "forwarded"),
    "min-fresh, Age": (
        stored_by(("Cache-Control", "max-age=1500"), ("Age", "1000"), sent=[("Cache-Control", "min-fresh=1000")]),
        "forwarded",
    ),
    "min-fresh that holds": (stored_by(FRESH, sent=[("Cache-Control", "min-fresh=1000")]), "stored"),
    "no-cache": (stored_by(FRESH, sent=[("Cache-Control", "no-cache")]), "forwarded"),
    "no-cache, Last-Modified": (
        stored_by(FRESH, ("Last-Modified", date(-10000)), sent=[("Cache-Control", "no-cache")]), "date",
    ),
    "no-cache, ETag": (stored_by(FRESH, ETAG, sent=[("Cache-Control", "no-cache")]), "etag"),
    "no-store": (stored_by(FRESH, sent=[("Cache-Control", "no-store")]), "forwarded"),
    "only-if-cached": ([Step([FRESH], sent=[("Cache-Control", "only-if-cached")])], "stored 504"),
    "only-if-cached, stored": (stored_by(FRESH, sent=[("Cache-Control", "only-if-cached")]), "stored"),
}  # fmt: skip

RESPONSE_DIRECTIVES: dict[str, Case] = {
    **{
        control: (stored_by(("Cache-Control", control), ("Expires", date(10000))), "forwarded")
        for control in (
            "private, max-age=3600", "no-store", "No-StOrE", "max-age=10000, no-store", "max-age=10000, no-cache",
            "max-age=10000, No-CaChE", 'no-cache="a", max-age=3600', 'no-cache="a, b", max-age=3600',
            'private="a", max-age=3600',
        )
    },
    "an older one stays beside no-store": (
        [
            Step([FRESH]),
            Step([("Cache-Control", "no-store, max-age=0")], sent=[("Cache-Control", "no-cache")], body="new", after=3),
            Step(after=3),
        ],
        "stored",
    ),
    "no-cache is validated": (stored_by(("Cache-Control", "no-cache"), ETAG, status=304), "etag"),
    "no-cache, max-age is validated": (
        stored_by(("Cache-Control", "max-age=10000, no-cache"), ETAG, ("Expires", date(10000)), status=304), "etag",
    ),
    "must-revalidate, fresh": (stored_by(("Cache-Control", "max-age=10000, must-revalidate"), ETAG), "stored"),
    "must-revalidate, stale": (
        stored_by(("Cache-Control", "max-age=2, must-revalidate"), ETAG, after=3, status=304), "etag",
    ),
    "immutable, stale": (stored_by(("Cache-Control", "max-age=2, immutable"), ETAG, after=3, status=304), "etag"),
    "must-understand": (stored_by(("Cache-Control", "max-age=60, no-store, must-understand")), "stored"),
}  # fmt: skip

LONG = ("Expires", date(5000))
ONE, TWO = [("Foo", "1")], [("Foo", "2")]
ALL = [("Foo", "1"), ("Bar", "abc"), ("Baz", "789")]


def varied(vary: str, first: Pairs, second: Pairs, expected: str) -> Case:
    """Return a case of one response that varies, and a second request."""
    return [Step([LONG, ("Vary", vary)], sent=first), Step(body="new", sent=second)], expected


VARY: dict[str, Case] = {
    "the same": varied("Foo", ONE, ONE, "stored"),
    "another": varied("Foo", ONE, TWO, "forwarded"),
    "left out": varied("Foo", ONE, (), "forwarded"),
    "left out at first": varied("Foo", (), ONE, "forwarded"),
    "case of the name": varied("fOO", ONE, ONE, "stored"),
    "one that does not count": varied("Foo", [*ONE, ("Other", "2")], [*ONE, ("Other", "3")], "stored"),
    "two, the same": varied("Foo, Bar", ALL, ALL, "stored"),
    "two, another": varied("Foo, Bar", ALL, [("Foo", "2"), ALL[1]], "forwarded"),
    "two, left out": varied("Foo, Bar", ONE, (), "forwarded"),
    "three, the same": varied("Foo, Bar, Baz", ALL, ALL, "stored"),
    "three, in another order": varied("Foo, Bar, Baz", ALL, ALL[::-1], "stored"),
    "three, one begins alike": varied("Foo, Bar, Baz", [ALL[0], ("Bar", "abc4"), ALL[2]], ALL, "forwarded"),
    "three, one left out in both": varied("Foo, Bar, Baz", [ALL[0], ALL[2]], [ALL[0], ALL[2]], "stored"),
    "white space": varied("Foo", [("Foo", "1,2")], [("Foo", " 1, 2 ")], "stored"),
    "several lines": varied("Foo", [("Foo", "1, 2")], [("Foo", "1"), ("Foo", "2")], "stored"),
    "white space in quotes": varied("Foo", [("Foo", '"1, 2"')], [("Foo", '"1,2"')], "forwarded"),
    "a hundred fields": varied(", ".join(f"Foo-{number}" for number in range(100)), (), (), "forwarded"),
    "one field a hundred times": varied(", ".join(["Foo"] * 100), ONE, ONE, "stored"),
    "order of languages": varied(
        "Accept-Language", [("Accept-Language", "en, de")], [("Accept-Language", "de, en")], "forwarded"
    ),
    **{
        f"{name}: {value}": varied(name, [(name, "en, de")], [(name, value)], "stored")
        for name in ("Accept-Language", "Accept-Encoding")
        for value in ("eN, De", " en ,   de")
    },
    "case of another field": varied("Foo", [("Foo", "en")], [("Foo", "EN")], "forwarded"),
    "language by its weight": (
        [
            Step([LONG, ("Vary", "Accept-Language"), ("Content-Language", "de")], sent=[("Accept-Language", "en, de")]),
            Step(body="new", sent=[("Accept-Language", "fr;q=0.5, de;q=1.0")]),
        ],
        "forwarded",
    ),
    "several variants": (
        [
            Step([LONG, ("Vary", "Foo")], sent=ONE),
            Step([LONG, ("Vary", "Foo")], sent=TWO, body="two"),
            Step([LONG, ("Vary", "Foo")], sent=ONE, body="new"),
        ],
        "stored",
    ),
    **{f"Vary: {vary}": varied(vary, ALL, ALL, "forwarded") for vary in ("*", "*, *", ", *", "*, Foo", "Foo, *")},
    **{
        f"Vary: * behind {first!r}": ([Step([LONG, ("Vary", first), ("Vary", "*")]), Step(body="new")], "forwarded")
        for first in ("", "*")
    },
}


def matched(etag: str, sent: str, expected: str) -> Case:
    """Return a case of a fresh response with an entity tag, and a client that has one."""
    return stored_by(FRESH, ("ETag", etag), sent=[("If-None-Match", sent)]), expected


ENTITY_TAGS: dict[str, Case] = {
    "strong": matched('"one"', '"one"', "stored 304"),
    "weak": matched('W/"one"', 'W/"one"', "stored 304"),
    "weak and strong": matched('W/"one"', '"one"', "stored 304"),
    "any": matched('"one"', "*", "stored 304"),
    "another": matched('"one"', '"two"', "stored"),
    "first of several": matched('"one"', '"one", "2", "3"', "stored 304"),
    "between others": matched('"one"', '"2", "one", "3"', "stored 304"),
    "last of several": matched('"one"', '"2", "3", "one"', "stored 304"),
    "obs-text": matched('"on\xe9"', '"on\xe9"', "stored 304"),
    "asked for without quotes": matched('"one"', "one", "stored"),
    **{
        f"{etag}, asked for as {sent}": matched(etag, sent, "stored")
        for etag, sent in [("one", "one"), ("one", '"one"'), *((tag, tag) for tag in ('w/"one"', 'W\\"one"', 'W"one"'))]
    },
    "stale, without quotes": (stored_by(BRIEF, ("ETag", "one"), after=3, status=304), "etag"),
    "the client's without quotes goes on": ([Step([FRESH], sent=[("If-None-Match", "one")], status=304)], "etag 304"),
    "before the date": (
        stored_by(
            FRESH, ETAG, ("Last-Modified", date(-5000)),
            sent=[("If-None-Match", '"one"'), ("If-Modified-Since", date(-6000))],
        ),
        "stored 304",
    ),
    "stale, strong": (stored_by(BRIEF, ETAG, after=3, status=304), "etag"),
    "stale, weak": (stored_by(BRIEF, ("ETag", 'W/"one"'), after=3, status=304), "etag"),
    "stale, of the same variant": (
        [Step([BRIEF, ETAG, ("Vary", "Foo")], sent=ONE), Step(sent=ONE, after=3, status=304)], "etag",
    ),
    "not of another variant": (
        [Step([FRESH, ETAG, ("Vary", "Foo")], sent=ONE), Step(sent=TWO, body="new")], "forwarded",
    ),
    "the client's goes on": ([Step([FRESH], sent=[("If-None-Match", '"one"')], status=304)], "etag 304"),
}  # fmt: skip


def since(modified: Pairs, sent: str, expected: str, **then: Any) -> Case:
    """Return a case of a client that has a version of some date."""
    return stored_by(("Cache-Control", "max-age=600"), *modified, sent=[("If-Modified-Since", sent)], **then), expected


MODIFIED = [("Last-Modified", date(-3000)), ("Date", date(0))]
DATES: dict[str, Case] = {
    "the same": since(MODIFIED, date(-3000), "stored 304", after=3),
    "a later one": since(MODIFIED, date(-2000), "stored 304", after=3),
    "an earlier one": since(MODIFIED, date(-4000), "stored", after=3),
    "in the form of RFC 850": since(MODIFIED, "Tuesday, 14-Nov-23 21:23:20 GMT", "stored 304"),
    "none is stored": since([("Date", date(0))], date(-3000), "stored"),
    "stale": since(MODIFIED, date(-3000), "date 304", after=700, status=304),
}

HEURISTIC = [("Last-Modified", date(-86_400)), ("Date", date(0))]
GUESSED = (200, 203, 204, 300, 301, 308, 404, 405, 410)
NOT_GUESSED = (201, 202, 302, 303, 307, 403, 414, 501, 502, 503, 504, 599)


def of_status(status: int, fields: Pairs, expected: str, after: float = 0.0) -> Case:
    """Return a case of a status, whose second response would be another one."""
    body = "" if status == 204 else "0123456789"
    return [Step(fields, status=status, body=body), Step(body="new", after=after)], expected


def kept(status: int) -> str:
    """Return the outcome of a stored status."""
    return "stored" if status == 200 else f"stored {status}"


NO_HEURISTIC: dict[str, Case] = {
    "not by default": ([Step(HEURISTIC), Step(body="new")], "forwarded"),
    "attachment": ([Step([*HEURISTIC, ("Content-Disposition", "attachment")]), Step(body="new")], "forwarded"),
}
WITH_HEURISTIC: dict[str, Case] = {
    **{str(status): of_status(status, HEURISTIC, kept(status)) for status in GUESSED},
    **{str(status): of_status(status, HEURISTIC, "forwarded") for status in NOT_GUESSED},
    "599, public": of_status(599, [*HEURISTIC, ("Cache-Control", "public")], "forwarded"),
    "attachment": ([Step([*HEURISTIC, ("Content-Disposition", "attachment")]), Step(body="new")], "stored"),
    **{
        f"changed {seconds} s ago": ([Step([("Last-Modified", date(-seconds))]), Step(body="new", after=3)], expected)
        for seconds, expected in ((5, "date"), (20, "date"), (60, "stored"), (86_400, "stored"))
    },
}
STATUSES: dict[str, Case] = {
    **{str(each): of_status(each, [FRESH], kept(each)) for each in (*GUESSED, 302, 303, 307, 403, 451)},
    **{str(each): of_status(each, [FRESH], "forwarded") for each in (299, 400, 401, 413, 429, 499, 500, 502, 503, 599)},
    **{f"{each}, stale": of_status(each, [BRIEF], "forwarded", 3) for each in (200, 204, 301, 404, 410, 500)},
}

PART = Step([FRESH, ("Content-Range", "bytes 5-9/10")], sent=[("Range", "bytes=-5")], status=206, body="56789")
RANGES: dict[str, Case] = {
    "of a whole": (stored_by(FRESH, sent=[("Range", "bytes=0-1")]), "stored 206 01"),
    "of a whole, up to its end": (stored_by(FRESH, sent=[("Range", "bytes=1-")]), "stored 206 123456789"),
    "of a whole, its end": (stored_by(FRESH, sent=[("Range", "bytes=-1")]), "stored 206 9"),
    "of a whole, behind it": (stored_by(FRESH, sent=[("Range", "bytes=20-")]), "stored 416"),
    "of another unit": (stored_by(FRESH, sent=[("Range", "lines=0-1")]), "stored"),
    "If-Range holds": (stored_by(FRESH, ETAG, sent=[("Range", "bytes=0-1"), ("If-Range", '"one"')]), "stored 206 01"),
    "If-Range does not": (stored_by(FRESH, ETAG, sent=[("Range", "bytes=0-1"), ("If-Range", '"two"')]), "stored"),
    "a part is not stored": ([PART, PART], "forwarded 206 56789"),
    "a part is not completed": ([PART, Step([FRESH])], "forwarded"),
}


def changed(method: str, status: int, expected: str, more: str = "", fields: Pairs = ()) -> Case:
    """Return a case of a stored response, an unsafe request, and one for what was stored."""
    return [
        Step([FRESH], more=more),
        Step(fields, method=method, status=status, body="done", after=1),
        Step([FRESH], body="new", more=more),
    ], expected


UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "M-SEARCH")
INVALIDATION: dict[str, Case] = {
    **{method: changed(method, 200, "forwarded") for method in UNSAFE},
    **{f"{method}, redirected": changed(method, 303, "forwarded") for method in ("POST", "PUT")},
    **{f"{method}, failed": changed(method, status, "stored") for method in UNSAFE for status in (500,)},
    "POST, refused": changed("POST", 404, "stored"),
    **{
        f"{method}, {name}": changed(method, 201, "forwarded", "/new", [(name, "{path}/new")])
        for method in UNSAFE
        for name in ("Location", "Content-Location")
    },
    "another host's Location": changed("POST", 201, "stored", "/new", [("Location", "http://b.example{path}/new")]),
    "OPTIONS": changed("OPTIONS", 200, "stored"),
}

PRAGMA: dict[str, Case] = {
    "of a request": (stored_by(FRESH, sent=[("Pragma", "no-cache")]), "forwarded"),
    "of a request with Cache-Control": (
        stored_by(FRESH, sent=[("Pragma", "no-cache"), ("Cache-Control", "max-age=100")]), "stored",
    ),
    "of a request, another": (stored_by(FRESH, sent=[("Pragma", "other")]), "stored"),
    "of a response": (stored_by(FRESH, ("Pragma", "no-cache")), "stored"),
    "of a response, another": (stored_by(FRESH, ("Pragma", "other")), "stored"),
}  # fmt: skip


def targeted(value: str, expected: str, *others: tuple[str, str]) -> Case:
    """Return a case of a field for caches of the server's side alone, looked at after three seconds."""
    return stored_by(("CDN-Cache-Control", value), *others, after=3), expected


PAST, FUTURE = ("Expires", date(-10_000)), ("Expires", date(10_000))
TARGETED: dict[str, Case] = {
    "max-age": targeted("max-age=3600", "stored"),
    "max-age=2147483648": targeted("max-age=2147483648", "stored"),
    "max-age=99999999999": targeted("max-age=99999999999", "stored"),
    "max-age below Age": targeted("max-age=3600", "forwarded", ("Age", "7200")),
    "space before =": targeted("max-age =100", "forwarded", BRIEF),
    "space after =": targeted("max-age= 100", "forwarded", BRIEF),
    "max-age=0": targeted("max-age=0", "forwarded"),
    "extension": targeted("foobar, max-age=3600", "stored"),
    "in capitals": targeted("MaX-aGe=3600", "forwarded"),
    "past Expires": targeted("max-age=3600", "stored", PAST),
    "no Expires that is a date": targeted("max-age=3600", "stored", ("Expires", "0")),
    "max-age=0, future Expires": targeted("max-age=0", "forwarded", FUTURE),
    "longer": targeted("max-age=3600", "stored", BRIEF),
    "shorter": targeted("max-age=1", "forwarded", FRESH),
    "private": targeted("private", "forwarded", FRESH, FUTURE),
    "no-cache": targeted("no-cache", "forwarded", FRESH, FUTURE),
    "no-store": targeted("no-store", "forwarded", FRESH, FUTURE),
    "before no-store": targeted("max-age=10000", "stored", ("Cache-Control", "no-store")),
    "cannot be read": targeted("max-age=10000, &&&&&", "forwarded", ("Cache-Control", "no-store")),
    "of another type": targeted('max-age="10000"', "forwarded", ("Cache-Control", "no-store")),
    "Surrogate-Control": (stored_by(("Surrogate-Control", "max-age=3600"), after=3), "forwarded"),
}


def failing(control: str, expected: str, **then: Any) -> Case:
    """Return a case of a stale response whose upstream fails."""
    return [Step([("Cache-Control", control)]), Step(body="", after=3, **then)], expected


STALE: dict[str, Case] = {
    "lost": failing("max-age=2", "forwarded 502", is_lost=True),
    "503": failing("max-age=2", "forwarded 503", status=503),
    "stale-if-error, lost": failing("max-age=2, stale-if-error=60", "stale", is_lost=True),
    "stale-if-error, 503": failing("max-age=2, stale-if-error=60", "stale", status=503),
    "stale-if-error, too late": failing("max-age=1, stale-if-error=1", "forwarded 503", status=503),
    "stale-if-error of the request": (
        [Step([BRIEF]), Step(body="", after=3, status=503, sent=[("Cache-Control", "stale-if-error=3600")])],
        "forwarded 503",
    ),
    "stale-if-error, 404": failing("max-age=2, stale-if-error=60", "forwarded 404", status=404),
    **{
        each: failing(f"max-age=2, stale-if-error=60, {each}", "forwarded 503", status=503)
        for each in ("must-revalidate", "proxy-revalidate", "no-cache")
    },
    "s-maxage": failing("s-maxage=2", "forwarded 502", is_lost=True),
}

USER = [("Authorization", "Bearer abc")]


def of_user(fields: Pairs, expected: str) -> Case:
    """Return a case of a request with Authorization, and one without."""
    return [Step(fields, sent=USER), Step(body="new", after=3)], expected


AUTHORIZATION: dict[str, Case] = {
    "Expires": of_user([LONG], "forwarded"),
    "max-age": of_user([FRESH], "forwarded"),
    "public": of_user([("Cache-Control", "max-age=3600, public")], "stored"),
    "must-revalidate": of_user([("Cache-Control", "max-age=3600, must-revalidate")], "stored"),
    "s-maxage": of_user([("Cache-Control", "s-maxage=3600")], "stored"),
}

OTHERS: dict[str, Case] = {
    "another query": ([Step([FRESH], more="?a=1"), Step(more="?a=2", body="new")], "forwarded"),
    "the same query": ([Step([FRESH], more="?a=1"), Step(more="?a=1", body="new")], "stored"),
    "attachment": (stored_by(FRESH, ("Content-Disposition", "attachment; filename=a.txt")), "stored"),
    "Set-Cookie": (stored_by(FRESH, ("Set-Cookie", "a=b")), "forwarded"),
    "Cookie": (stored_by(FRESH, sent=[("Cookie", "a=b")]), "forwarded"),
    "POST": ([Step([LONG, ("Content-Location", "{path}")], method="POST"), Step(body="new")], "forwarded"),
    "HEAD of what is stored": (stored_by(FRESH, method="HEAD"), "stored"),
    "HEAD of what is stale": (stored_by(BRIEF, method="HEAD", after=3), "forwarded"),
    "HEAD makes nothing fresh": (
        [Step([BRIEF]), Step([FRESH], method="HEAD", after=3), Step(body="new")], "forwarded",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("cases", "options"),
    [
        pytest.param(REQUEST_DIRECTIVES, {}, id="5.2.1 request directives"),
        pytest.param(RESPONSE_DIRECTIVES, {}, id="5.2.2 response directives"),
        pytest.param(VARY, {}, id="4.1 Vary"),
        pytest.param(ENTITY_TAGS, {}, id="4.3 entity tags"),
        pytest.param(DATES, {}, id="4.3 dates"),
        pytest.param(NO_HEURISTIC, {}, id="4.2.2 no heuristic freshness"),
        pytest.param(WITH_HEURISTIC, {"heuristic_fraction": 0.1}, id="4.2.2 heuristic freshness"),
        pytest.param(STATUSES, {}, id="3 statuses"),
        pytest.param(RANGES, {}, id="3.3 ranges"),
        pytest.param(INVALIDATION, {}, id="4.4 invalidation"),
        pytest.param(PRAGMA, {}, id="5.4 Pragma"),
        pytest.param(TARGETED, {}, id="RFC 9213 targeted fields"),
        pytest.param(STALE, {}, id="4.2.4 stale"),
        pytest.param(AUTHORIZATION, {}, id="3.5 Authorization"),
        pytest.param(OTHERS, {}, id="4 others"),
    ],
)
def test_what_becomes_of_a_request(cached: CachedRoute, cases: dict[str, Case], options: dict[str, Any]) -> None:
    route = cached(**options)

    assert outcomes(route, cases) == {name: expected for name, (_, expected) in cases.items()}
