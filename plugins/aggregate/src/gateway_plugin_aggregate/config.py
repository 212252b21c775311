"""The options of the plugin."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from gateway_plugin_sdk import ConfigModel, Duration, FieldNames, HeaderName, Size, UpstreamName
from pydantic import AfterValidator, Field, model_validator

from gateway_plugin_aggregate.shaping import allowing, denying, read_pointer, renaming
from gateway_plugin_aggregate.templates import BodyTemplate, Placeholder, json_text, parse_template

LONGEST_WITHOUT_PAUSE: Final = 32 * 1024
"""Bytes of a response of which nothing takes more than 10 ms, whatever is in it (`benchmarks/aggregation.py`)."""
UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""Methods that change something (RFC 9110 section 9.2.1)."""
_MOST_CALLS: Final = 32
_MOST_POINTERS: Final = 256

_OWN_FIELDS: Final = FieldNames(
    [
        "Accept-Encoding", "CDN-Loop", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect",
        "Host", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Keep-Alive",
        "Proxy-Authorization", "Proxy-Connection", "Range", "TE", "Traceparent", "Tracestate", "Trailer",
        "Transfer-Encoding", "Upgrade", "Via", "X-Request-Id",
    ]
)  # fmt: skip
"""Fields of a request that frame a message, are about another representation, or are passed on by the gateway."""
_OWN_RESPONSE_FIELDS: Final = FieldNames(
    [
        "Accept-Ranges", "Age", "Cache-Control", "CDN-Cache-Control", "Connection", "Content-Digest",
        "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length", "Content-Location",
        "Content-MD5", "Content-Range", "Content-Type", "Date", "Digest", "ETag", "Expires", "Keep-Alive",
        "Last-Modified", "Pragma", "Proxy-Authenticate", "Proxy-Connection", "Repr-Digest", "Server",
        "Surrogate-Control", "Trailer", "Transfer-Encoding", "Upgrade", "Vary", "Via", "X-Aggregate-Complete",
        "X-Request-Id",
    ]
)  # fmt: skip
"""Fields of a response that are about one call's content, or that the gateway and this plugin write."""
_PATH: Final = re.compile(r"/(?!/)[!-\"$->@-~]*")
_DOTS: Final = re.compile(r"/(?:\.|%2e){1,2}(?:;[^/]*)?(?:/|$)", re.IGNORECASE)


def _template(text: str) -> str:
    try:
        parse_template(text)
    except ValueError as error:
        raise ValueError(f"{text[:80]!r} {error}") from None
    return text


def _path(text: str) -> str:
    if _PATH.fullmatch(text) is None:
        raise ValueError(
            f"{text[:80]!r} is not a path: begin with one '/', percent-encode other characters, and put the query "
            "into query"
        )
    if _DOTS.search(text):
        raise ValueError(f"{text[:80]!r} has dots as a segment: write the path that they lead to")
    return _template(text)


def _body(value: Any) -> Any:
    try:
        BodyTemplate(value)
    except ValueError as error:
        raise ValueError(
            f"a template in it {error}" if str(error).startswith(("has", "names")) else str(error)
        ) from None
    return value


def _static(value: Any) -> Any:
    json_text(value)
    return value


def _pointer(text: str) -> str:
    if "*" in read_pointer(text):
        raise ValueError(f"{text[:80]!r} has *: name one place")
    return text


def _renames(names: dict[str, str]) -> dict[str, str]:
    renaming(names)
    return names


def _allow(pointers: tuple[str, ...]) -> tuple[str, ...]:
    allowing(pointers)
    return pointers


def _deny(pointers: tuple[str, ...]) -> tuple[str, ...]:
    denying(pointers)
    return pointers


def _client_field(name: str) -> str:
    if _OWN_FIELDS.are_in(f"\r\n{name.lower()}:".encode()):
        raise ValueError(f"{name!r} is never passed on: remove it; the gateway writes what a call needs of it")
    return name


def _response_field(name: str) -> str:
    if _OWN_RESPONSE_FIELDS.are_in(f"\r\n{name.lower()}:".encode()):
        raise ValueError(f"{name!r} is of one call's content, or is written for the response as a whole: remove it")
    return name


Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=64)]
Template = Annotated[str, AfterValidator(_template)]
Member = Annotated[str, Field(min_length=1, max_length=256)]
Count = Annotated[int, Field(strict=True, ge=1, le=_MOST_CALLS)]


class CallConfig(ConfigModel):
    """One call of an upstream."""

    name: Name
    """What other calls, problems and metrics call it."""

    target: UpstreamName
    """The upstream, or a URL of scheme, host and port."""

    path: Annotated[str, AfterValidator(_path)]
    """Where it goes. ``{param:id}`` is a parameter of the route's path, ``{call:user.id}`` a value of the response to
    the call ``user``; each value is part of one segment."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    """No more than one call may have another method than GET. It waits for all required calls that do not wait for
    it."""

    query: dict[Member, Template] = {}
    """Parameters of the query; one of whose values is missing is left out."""

    headers: dict[HeaderName, Template] = {}
    """Fields; one of whose values is missing is left out."""

    body: Annotated[Any, AfterValidator(_body)] = None
    """A value that is sent as JSON. A text that is one placeholder keeps the type of what it stands for."""

    client_query: tuple[Member, ...] = ()
    """Parameters of the client's query that are passed on."""

    client_headers: tuple[Annotated[HeaderName, AfterValidator(_client_field)], ...] = ()
    """Fields of the client's that are passed on."""

    client_body: bool = False
    """Whether the client's body is passed on, with its Content-Type and Content-Encoding."""

    depends_on: tuple[Name, ...] = ()
    """Calls above it that must have succeeded before, besides those whose values it uses."""

    timeout: Annotated[Duration, Field(gt=0)] | None = None
    """How long it may take, the body included; as long as the upstream and the whole may unless given."""

    max_body_bytes: Annotated[Size, Field(ge=1, le=1024 * 1024)] = LONGEST_WITHOUT_PAUSE
    """The largest response, and the largest body that ``body`` becomes."""

    required: bool = True
    """Whether there is no response without it. Without one that is not required, the response says that it is not
    complete."""

    default: Annotated[Any, AfterValidator(_static)] = None
    """What stands for the response of a call that is not required and fails, for calls that use its values, too."""

    pass_statuses: tuple[Annotated[int, Field(strict=True, ge=400, le=499)], ...] = ()
    """Statuses of a required call that the client gets, such as 404, in place of 502."""

    take: Annotated[str, AfterValidator(_pointer)] | None = None
    """The part of the response to take, as a JSON pointer; the rest is only there for ``{call:...}``."""

    allow: Annotated[tuple[str, ...], Field(max_length=_MOST_POINTERS), AfterValidator(_allow)] | None = None
    """The places to keep, as JSON pointers; ``*`` is every item or member: ``/items/*/id``."""

    deny: Annotated[tuple[str, ...], Field(max_length=_MOST_POINTERS), AfterValidator(_deny)] = ()
    """The places to remove."""

    rename: Annotated[dict[str, Member], Field(max_length=_MOST_POINTERS), AfterValidator(_renames)] = {}
    """Places, and the names that what is there gets: ``/hotel_id: id``."""

    group: Member | None = None
    """The member of the response that gets what is left; without it, its members become members of the response."""

    include: bool = True
    """Whether it is part of the response; ``false`` for one that only gives values to others."""

    response_headers: tuple[Annotated[HeaderName, AfterValidator(_response_field)], ...] = ()
    """Fields of its response that the client gets, Set-Cookie only if it is among them."""

    @property
    def has_default(self) -> bool:
        """Whether ``default`` is written; null is one."""
        return "default" in self.model_fields_set

    @property
    def is_unsafe(self) -> bool:
        """Whether it may change something."""
        return self.method in UNSAFE

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.required and self.has_default:
            raise ValueError("default is for a call that may fail: write required: false, or remove default")
        if not self.required and self.pass_statuses:
            raise ValueError("pass_statuses is for a required call: remove it, or required: false")
        if self.has_default and self.include and self.group is None and not isinstance(self.default, dict):
            raise ValueError("without a group, default becomes members of the response: write an object, or group")
        if not self.include and (self.group is not None or self.allow is not None or self.deny or self.rename):
            raise ValueError("include: false leaves nothing to group, allow, deny or rename: remove these")
        self._check_request()
        return self

    def _check_request(self) -> None:
        has_body = self.body is not None or self.client_body
        if has_body and self.method == "GET":
            raise ValueError("a GET has no body: write method: POST, or remove body and client_body")
        if self.body is not None and self.client_body:
            raise ValueError("there is one body: write body or client_body")
        names = {name.lower() for name in self.client_headers}
        if twice := next((name for name in self.headers if name.lower() in names), None):
            raise ValueError(f"{twice!r} is in headers and client_headers: write it once")
        if twice := next((name for name in self.query if name in self.client_query), None):
            raise ValueError(f"{twice!r} is in query and client_query: write it once")
        for name, text in self.headers.items():
            pieces = parse_template(text)
            if name.lower() == "host":
                if any(isinstance(each, Placeholder) for each in pieces):
                    raise ValueError("Host has a placeholder: write a name")
            elif name.lower() != "content-type" and _OWN_FIELDS.are_in(f"\r\n{name.lower()}:".encode()):
                raise ValueError(f"{name!r} is written by the gateway: remove it")
            if name.lower() == "authorization" and not any(isinstance(each, Placeholder) for each in pieces):
                raise ValueError(
                    "a credential would be shown with the configuration: bind upstream-auth to the upstream"
                )


class AggregateConfig(ConfigModel):
    """Several calls of upstreams become one response."""

    calls: Annotated[tuple[CallConfig, ...], Field(min_length=1, max_length=_MOST_CALLS)]
    """The calls. Those that need nothing of each other are made at the same time."""

    static: Annotated[dict[Member, Any], AfterValidator(_static)] = {}
    """Members of every response, which no call changes."""

    status: Annotated[int, Field(strict=True, ge=200, le=203)] = 200
    """The status of a response, complete or not."""

    timeout: Annotated[Duration, Field(gt=0)] = 10.0
    """How long all may take together. What is not there by then has failed."""

    max_parallel: Count = 8
    """How many calls of one request are made at the same time."""

    max_total_bytes: Annotated[Size, Field(ge=1, le=16 * 1024 * 1024)] = 512 * 1024
    """Bytes of all responses together."""

    max_client_body_bytes: Annotated[Size, Field(ge=1, le=16 * 1024 * 1024)] = 1024 * 1024
    """The largest body of a client that is passed on; a larger one is 413."""
