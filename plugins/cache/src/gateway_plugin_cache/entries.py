"""Stored responses, and how requests find them: by URL, then by what else keeps them apart (RFC 9111 section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway_plugin_sdk import FieldNames, Headers, Request, Response
from gateway_plugin_sdk.conditions import Validators, parse_date

from gateway_plugin_cache.freshness import Policy
from gateway_plugin_cache.request_control import CONDITIONS, forwarded_values

Variant = tuple[object, ...]
"""What keeps responses for one URL apart, with the values of one request."""

Stamp = tuple[int, int]
"""A place in the order of all purges that gateways share."""
NEVER: Final[Stamp] = (0, 0)
LATEST: Final[Stamp] = (2**64, 0)
"""After all purges."""

_OVERHEAD: Final = 1024
"""Bytes that an entry takes beside its texts, roughly."""
_NEVER_IN_VARY: Final = frozenset(
    {"x-forwarded-for", "forwarded", "via", "x-request-id", "x-real-ip", "traceparent", "tracestate", "*"}
)
"""What a response must not vary by: the gateway writes these, another value for each client or request."""
_MOST_VARY: Final = 16
_CASELESS: Final = frozenset({"accept-language", "accept-encoding"})
"""Fields whose members are the same in whatever case they are written (RFC 9110 sections 8.4.1 and 8.5.1)."""


def target_uri(request: Request) -> str:
    """Return what a response is stored under: scheme, host, path and query as they go on."""
    query = request.query_string
    url = f"{request.scheme}://{request.host.lower()}{request.raw_path}"
    return f"{url}?{query}" if query else url


@dataclass(frozen=True, slots=True)
class ParameterNames:
    """Names of query parameters, whole ones and beginnings."""

    whole: frozenset[str]
    beginnings: tuple[str, ...]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> ParameterNames:
        """Read names, of which one that ends with ``*`` is a beginning."""
        patterns = tuple(patterns)
        return cls(frozenset(patterns), tuple(each[:-1] for each in patterns if each.endswith("*")))

    def has(self, name: str) -> bool:
        """Whether a name is one of them."""
        return name in self.whole or name.startswith(self.beginnings)


def without_parameters(query: str, names: ParameterNames) -> str:
    """Return a query without the parameters of these names, as they are spelled; the rest stays as it was sent."""
    return "&".join([each for each in query.split("&") if not names.has(each.partition("=")[0])])


def parse_vary(values: Iterable[str]) -> tuple[str, ...] | None:
    """Return the names that Vary lists, in lower case and in order; None if the response can match no other request."""
    names = sorted({name for value in values for each in value.split(",") if (name := each.strip(" \t").lower())})
    return None if len(names) > _MOST_VARY or not _NEVER_IN_VARY.isdisjoint(names) else tuple(names)


@dataclass(frozen=True, slots=True)
class VariantFields:
    """What keeps responses apart whatever they say themselves."""

    fields: tuple[str, ...]
    cookies: tuple[str, ...]
    ignored: FieldNames | None

    def of(self, request: Request, *, has_forwarded: bool = True) -> Variant:
        """Return the values of a request: its route and target, what plugins wrote, what a trusted proxy says.

        :param has_forwarded: False if it is known to have none of the fields of trusted proxies.
        """
        written = request.written_headers
        if self.ignored is not None and len(written):
            written = _without(written, self.ignored)
        route = request.route
        common = (None if route is None else route.id, request.upstream, written.key)
        forwarded = forwarded_values(request.headers) if has_forwarded else ()
        if not (self.fields or self.cookies or forwarded):
            return common
        cookies, headers = [request.cookie(name) for name in self.cookies], request.headers
        return (*common, forwarded, *[headers.joined(name) for name in self.fields], *cookies)


def _without(headers: Headers, names: FieldNames) -> Headers:
    kept = Headers(headers.items())
    kept.remove_any(names)
    return kept


def vary_values(vary: tuple[str, ...], headers: Headers) -> Variant:
    """Return the values of a request for the fields that responses vary by, white space between members aside."""
    return tuple([_normal(name, headers.joined(name)) for name in vary])


def _normal(name: str, value: str | None) -> str | None:
    if value is not None and name in _CASELESS:
        value = value.lower()
    if value is None or "," not in value or '"' in value:  # a comma within quotes separates nothing
        return value
    return ",".join([each.strip(" \t") for each in value.split(",")])


def _bytes_of(variant: Variant) -> int:
    """Return the bytes of all texts of a variant, which clients write."""
    return sum(
        len(each) if isinstance(each, str | bytes) else _bytes_of(each) if isinstance(each, tuple) else 0
        for each in variant
    )


class Entry:
    """One stored response."""

    __slots__ = (
        "body", "generated_at", "headers", "is_public", "policy", "prepared", "prepared_until", "revalidate_at", "seen",
        "size", "status", "tags", "url", "uses", "validators", "variant", "vary",
    )  # fmt: skip

    def __init__(
        self,
        url: str,
        variant: Variant,
        vary: tuple[str, ...],
        status: int,
        headers: Headers,
        body: bytes,
        policy: Policy,
        generated_at: float,
        tags: frozenset[str],
        is_public: bool,
        seen: Stamp = NEVER,
    ) -> None:
        """Keep a response.

        :param variant: what `VariantFields.of` gave for its request, with the values for ``vary``.
        :param headers: without Age and framing.
        :param generated_at: monotonic seconds at which its age was 0.
        :param is_public: whether requests with credentials may share it (RFC 9111 section 3.5).
        :param seen: the newest purge that was known when its fetch began.
        """
        self.url = url
        self.variant = variant
        self.vary = vary
        self.status = status
        self.headers = headers
        self.body = body
        self.policy = policy
        self.generated_at = generated_at
        self.tags = tags
        self.is_public = is_public
        self.seen = seen
        self.validators = read_validators(headers)
        # The head counts four times: the response that is ready has a copy, one that is lower-cased for look-ups, and
        # one as it goes over the wire.
        self.size = len(body) + 4 * headers.size + 2 * len(url) + sum(map(len, tags)) + _bytes_of(variant) + _OVERHEAD
        self.uses = 0
        """How often it was used since it was last looked at for eviction, at most 3."""
        self.prepared: Response | None = None
        """The response to most requests, for a second."""
        self.prepared_until = -math.inf
        """Monotonic seconds up to which that one may be sent; it is fresh until then."""
        self.revalidate_at = 0.0
        """Monotonic seconds before which it is not validated in the background again."""

    def age(self, now: float) -> float:
        """Return its age in seconds, at a monotonic time."""
        return now - self.generated_at

    def expire(self, now: float) -> None:
        """Have it validated before it is used again: it is not fresh any more, nor to be used meanwhile."""
        policy = self.policy
        self.generated_at = min(self.generated_at, now - max(policy.lifetime, policy.stale_while_revalidate))
        self.prepared, self.prepared_until = None, -math.inf

    def make_conditional(self, headers: Headers) -> None:
        """Have a request ask the upstream whether this is still good (RFC 9111 section 4.3.1)."""
        headers.remove_any(CONDITIONS)
        if (etag := self.validators.etag) is not None:
            headers["If-None-Match"] = etag
        if (modified := self.headers.get("Last-Modified")) is not None:
            headers["If-Modified-Since"] = modified

    @property
    def has_validator(self) -> bool:
        return self.validators.etag is not None or "last-modified" in self.headers


def read_validators(headers: Headers) -> Validators:
    """Return the validators of a response (RFC 9110 section 8.8)."""
    etag, modified = headers.get("ETag"), parse_date(headers.get("Last-Modified") or "")
    date = parse_date(headers.get("Date") or "")
    # A minute is between them, as section 8.8.2.2 asks for before the date counts as strong.
    is_strong = modified is not None and date is not None and date - modified >= 60
    return Validators(etag, modified, is_strong)


class Resource:
    """The stored responses for one URL."""

    __slots__ = ("entries", "vary")

    def __init__(self) -> None:
        self.vary: tuple[str, ...] = ()
        """All request fields that its responses vary by."""
        self.entries: dict[Variant, Entry] = {}

    def find(self, base_variant: Variant, request: Request) -> Entry | None:
        """Return the response for a request.

        :param base_variant: what `VariantFields.of` gave for it.
        """
        vary = self.vary
        return self.entries.get(base_variant + vary_values(vary, request.headers) if vary else base_variant)


def parse_tags(headers: Headers, names: Iterable[str]) -> frozenset[str]:
    """Return the tags of a response."""
    values = [value for name in names for value in headers.get_all(name)]
    return frozenset(tag for value in values for tag in value.replace(",", " ").split())
