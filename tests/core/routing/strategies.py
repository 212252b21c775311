"""Small alphabets for tables and requests, so that rules overlap and requests hit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway_core.messages.path import read_path
from gateway_core.routing import HeaderLookup, PathPolicy, RouteRule, ValueCondition
from hypothesis import strategies as st


def lookup(headers: Mapping[str, Sequence[str]]) -> HeaderLookup:
    """Return what a router asks for the values of a header."""
    return lambda name: headers.get(name, ())


Request = tuple[str, str, str, str, dict[str, list[str]]]
"""method, host, path as it was sent, query, all values of each header"""

LENIENT = PathPolicy(encoded_slash="keep", encoded_backslash="keep", invalid_utf8="keep")

WORDS = st.sampled_from(["a", "b", "ab", "abc", ""])
PATTERN_WORDS = st.sampled_from(["a", "b", "ab", "%61", "caf\u00e9", "a%2Fb"])
REQUEST_WORDS = st.sampled_from(
    ["a", "b", "ab", "abc", "", "%61", "%61b", "a%2fb", "a%252Fb", "caf%C3%A9", "%ff", "%25", "a;b", ";a", "b%3Ba"]
)
STARTS = st.sampled_from(["", "", "", "a", "ab"])


@st.composite
def patterns(draw: st.DrawFn) -> str:
    parts = []
    for index in range(draw(st.integers(1, 4))):
        is_param = draw(st.booleans())
        parts.append(f"{draw(STARTS)}:p{index}" if is_param else draw(PATTERN_WORDS))
    if draw(st.integers(0, 3)) == 0:
        parts.append("*rest")
    elif draw(st.integers(0, 3)) == 0:
        parts.append("")
    return "/" + "/".join(parts)


PREFIXES = st.lists(PATTERN_WORDS, min_size=0, max_size=3).map(lambda parts: "/" + "/".join(parts))
REGEXES = st.sampled_from(["/a/.*", "/.*", "/(?P<x>[ab]+)", "/a(/b)?(/(?P<y>.*))?"])
HOSTS = st.sampled_from(["a.com", "x.a.com", "*.a.com", "*.x.a.com", "*.com", "*"])
METHODS = st.sampled_from(["GET", "POST", "PUT"])
HEADERS = st.sampled_from(
    [
        ValueCondition("X-One", value="1"),
        ValueCondition("x-one", present=True),
        ValueCondition("x-two", regex="[0-9]+"),
        ValueCondition("x-two", present=False),
    ]
)
QUERIES = st.sampled_from(
    [ValueCondition("q", value="1"), ValueCondition("q", present=True), ValueCondition("r", regex=".?")]
)


@st.composite
def rules(draw: st.DrawFn) -> RouteRule[str]:
    kind = draw(st.sampled_from(["path", "path", "path", "path", "path_prefix", "path_prefix", "path_regex"]))
    text = draw({"path": patterns(), "path_prefix": PREFIXES, "path_regex": REGEXES}[kind])
    path, prefix, regex = (text if kind == name else None for name in ("path", "path_prefix", "path_regex"))
    return RouteRule(
        id="",
        payload="",
        path=path,
        path_prefix=prefix,
        path_regex=regex,
        methods=frozenset(draw(st.one_of(st.just([]), st.lists(METHODS, max_size=2)))),
        hosts=tuple(draw(st.one_of(st.just([]), st.lists(HOSTS, max_size=2)))),
        headers=tuple(draw(st.one_of(st.just([]), st.lists(HEADERS, max_size=2, unique=True)))),
        query=tuple(draw(st.one_of(st.just([]), st.lists(QUERIES, max_size=1)))),
        priority=draw(st.sampled_from([0, 0, 0, 0, 5, -1])),
        policy=LENIENT,
    )


@st.composite
def tables(draw: st.DrawFn, max_size: int = 14) -> list[RouteRule[str]]:
    """Rules with ids, payloads and orders set; one table in two has no hosts, one in two a single priority."""
    drawn = draw(st.lists(rules(), min_size=1, max_size=max_size))
    with_hosts, with_priorities = draw(st.booleans()), draw(st.booleans())
    return [
        replace(
            rule,
            id=f"r{order}",
            payload=f"payload {order}",
            order=order,
            hosts=rule.hosts if with_hosts else (),
            priority=rule.priority if with_priorities else 0,
        )
        for order, rule in enumerate(drawn)
    ]


REQUESTS = st.tuples(
    METHODS,
    st.sampled_from(["a.com", "A.com:80", "x.a.com", "y.x.a.com", "b.com", "com", "", ".a.com"]),
    st.lists(REQUEST_WORDS, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts)),
    st.sampled_from(["", "q=1", "q=2&q=1", "r", "r=%31&q=1", "r=xx&r=%0A"]),
    st.dictionaries(
        st.sampled_from(["x-one", "x-two"]), st.lists(st.sampled_from(["1", "x", "\n"]), min_size=1, max_size=3)
    ),
)


def match_path(raw: str) -> str:
    return read_path(raw)[0]
