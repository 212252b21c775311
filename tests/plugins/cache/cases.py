"""Cases of a few requests for one URL, and what becomes of the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from tests.plugins.cache.conftest import Cached

NOW = 1_700_000_000
FRESH = ("Cache-Control", "max-age=3600")
BRIEF = ("Cache-Control", "max-age=2")
ETAG = ("ETag", '"one"')
Pairs = Sequence[tuple[str, str]]


def date(seconds: float) -> str:
    """Return a date that is so many seconds from the beginning of the tests."""
    return formatdate(NOW + seconds, usegmt=True)


@dataclass(frozen=True)
class Step:
    """A request, and how the upstream responds to it if it is asked. ``{path}`` in a field is the path of the case."""

    fields: Pairs = ()
    """Of the response."""

    sent: Pairs = ()
    status: int = 200
    body: str = "0123456789"
    method: str = "GET"
    more: str = ""
    """What follows the path of the case."""

    after: float = 0.0
    """Seconds that pass before it."""

    is_lost: bool = False
    """Whether the upstream resets the connection."""


Case = tuple[Sequence[Step], str]


def stored_by(*fields: tuple[str, str], sent: Pairs = (), after: float = 0.0, **then: Any) -> Sequence[Step]:
    """Return a response with some fields, and a request after that."""
    return Step(fields), Step(body="new", sent=sent, after=after, **then)


def outcome(route: Cached, path: str, steps: Sequence[Step]) -> str:
    """Send the requests of a case; return what became of the last one."""
    result = ""
    for step in steps:
        fields = [(name, value.replace("{path}", path)) for name, value in step.fields]
        route.upstream.answer_with(step.status, step.body, fields, reset=step.is_lost)
        route.pass_time(step.after)
        before = len(route.upstream.requests)
        response = route.get(path + step.more, step.sent, step.method)
        asked = route.upstream.requests[before:]
        if not asked:
            result = "stored"
        elif response.body.decode() == steps[0].body and step.status != 304:
            result = "stale" if step.body != steps[0].body else "forwarded"
        else:
            names = {name.lower() for name, _ in asked[0].headers.items()}
            result = "etag" if "if-none-match" in names else "date" if "if-modified-since" in names else "forwarded"
        if response.status != 200:
            result += f" {response.status}"
        if response.status == 206:
            result += f" {response.body.decode()}"
        assert "warning" not in response.headers, "RFC 9111 section 5.5 made it obsolete"
    return result


def outcomes(route: Cached, cases: dict[str, Case]) -> dict[str, str]:
    """Return what became of the last request of each case, by its name; each has a path of its own."""
    return {name: outcome(route, f"/{number}", steps) for number, (name, (steps, _)) in enumerate(cases.items())}
