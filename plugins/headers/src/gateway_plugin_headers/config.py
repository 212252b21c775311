"""The options of the plugin."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from gateway_plugin_sdk import ConfigModel, Duration, HeaderName, HeaderValue, StatusRange
from pydantic import AfterValidator, Field, model_validator

from gateway_plugin_headers.template import check_template, constant, needs_identity

FRAMING: Final = frozenset({
    "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
"""Fields of a connection or a body's framing, which are the gateway's."""

_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%-]+)(:[0-9]{1,5})?")
_PATTERN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def _check_name(value: str) -> str:
    if value.lower() in FRAMING:
        raise ValueError("belongs to the connection or the framing of a body, which the gateway writes: leave it out")
    return value


def _check_list(value: str) -> str:
    if value.lower() in {"cookie", "set-cookie"}:
        raise ValueError("is no list with commas: write add for one more, or set")
    return value


def _check_pattern(value: str) -> str:
    if not _PATTERN.fullmatch(value) or "*" in value[:-1] or value == "*":
        raise ValueError('is not a header name: write a name, or its beginning and "*", such as x-internal-*')
    return _check_name(value)


def _check_value(value: str) -> str:
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("holds a character outside latin-1: encode it") from None
    return value


def _check_of_request(value: str) -> str:
    check_template(value, of_response=False)
    return _check_value(value)


def _check_of_response(value: str) -> str:
    check_template(value, of_response=True)
    return _check_value(value)


Name = Annotated[HeaderName, AfterValidator(_check_name)]
ListName = Annotated[Name, AfterValidator(_check_list)]
NamePattern = Annotated[str, AfterValidator(_check_pattern)]
OfRequest = Annotated[HeaderValue, AfterValidator(_check_of_request)]
OfResponse = Annotated[HeaderValue, AfterValidator(_check_of_response)]
Dedupe = Literal["first", "last", "unique"]


class Rules(ConfigModel):
    """What is done with fields, in this order whatever the order of the keys."""

    keep: Annotated[tuple[NamePattern, ...], Field(min_length=1)] | None = None
    """Only these fields go on, beside Host, Content-Type, Content-Encoding and what frames a body: names, or beginnings
    of names with ``*``."""

    remove: tuple[NamePattern, ...] = ()
    """Fields that do not go on: names, or beginnings of names with ``*``."""

    rename: dict[Name, Name] = {}
    """New names of fields by their old ones; the values stay, and a field that has the new name already goes."""

    dedupe: dict[Name, Dedupe] = {}
    """Of several fields of a name the first, the last, or each value once."""


class RequestRules(Rules):
    """What is done with the fields of a request before it goes upstream."""

    set: dict[Name, OfRequest] = {}
    """Fields with this value and no other, whatever the client sent: if something in the value is missing, the field
    is removed."""

    default: dict[Name, OfRequest] = {}
    """Fields that get a value where there are none."""

    add: dict[Name, OfRequest] = {}
    """One more field of the name."""

    append: dict[ListName, OfRequest] = {}
    """A value behind those that there are, with a comma, or a field where there is none."""

    @model_validator(mode="after")
    def _leave_no_identity_to_the_client(self) -> Self:
        # Only a field that is set is taken from the client first; these keep what the client sent.
        for key, fields in (("default", self.default), ("add", self.add), ("append", self.append)):
            for name, value in fields.items():
                if needs_identity(value):
                    raise ValueError(
                        f"{key}.{name} names who is calling beside what a client may send: write it in set, "
                        "which lets no client send the field"
                    )
        return self

    @model_validator(mode="after")
    def _has_one_host(self) -> Self:
        instead = "write the route's rewrite.host instead"
        for key in ("default", "add", "append"):
            if "host" in map(str.lower, getattr(self, key)):
                raise ValueError(f"{key} of Host cannot be, as a request has exactly one: {instead}")
        if "host" in map(str.lower, self.rename.values()):
            raise ValueError(f"rename to Host would let clients choose it: {instead}")
        if "host" in map(str.lower, self.remove):
            raise ValueError(f"remove of Host cannot be, as a request has exactly one: {instead}")
        for name, value in self.set.items():
            if name.lower() == "host" and ((text := constant(value)) is None or not _AUTHORITY.fullmatch(text)):
                raise ValueError(f"set.{name} is no fixed host, with or without a port: {instead}")
        return self


class ResponseRules(Rules):
    """What is done with the fields of a response before it goes to the client."""

    statuses: tuple[StatusRange, ...] = ()
    """Only of responses with these statuses: ``404``, ``500-599``, ``5xx``; of all unless given."""

    set: dict[Name, OfResponse] = {}
    """Fields with this value and no other: if something in the value is missing, the field is removed."""

    default: dict[Name, OfResponse] = {}
    """Fields that get a value where there are none."""

    add: dict[Name, OfResponse] = {}
    """One more field of the name."""

    append: dict[ListName, OfResponse] = {}
    """A value behind those that there are, with a comma, or a field where there is none."""


class HstsConfig(ConfigModel):
    """Strict-Transport-Security (RFC 6797), which goes out only over https."""

    max_age: Duration = 31536000.0
    """How long browsers use https alone for this host."""

    subdomains: bool = False
    """Whether that holds for all subdomains."""

    preload: bool = False
    """Whether browsers may have it built in; needs ``subdomains`` and a year at least."""

    @model_validator(mode="after")
    def _may_be_preloaded(self) -> Self:
        if self.preload and not (self.subdomains and self.max_age >= 31536000):
            raise ValueError("preload needs subdomains: true and a max_age of 365d at least")
        return self


class SecurityConfig(ConfigModel):
    """Fields by which browsers protect users; each goes out only where the upstream sent none, unless ``override``."""

    hsts: bool | HstsConfig = True
    """Strict-Transport-Security."""

    content_type_options: bool = True
    """``X-Content-Type-Options: nosniff``."""

    frame_options: Literal["DENY", "SAMEORIGIN"] | None = "DENY"
    """X-Frame-Options: whose frames may show the page; null for everybody's."""

    referrer_policy: str | None = "strict-origin-when-cross-origin"
    """Referrer-Policy; null for none."""

    content_security_policy: str | None = None
    """Content-Security-Policy: depends on what a page loads, so there is no default."""

    permissions_policy: str | None = None
    """Permissions-Policy, such as ``camera=(), geolocation=()``."""

    cross_origin_opener_policy: Literal["same-origin", "same-origin-allow-popups", "unsafe-none"] | None = None
    """Cross-Origin-Opener-Policy."""

    cross_origin_resource_policy: Literal["same-origin", "same-site", "cross-origin"] | None = None
    """Cross-Origin-Resource-Policy."""

    override: bool = False
    """Whether these take the place of what the upstream sent."""


class HeadersConfig(ConfigModel):
    """Changes header fields of requests and responses."""

    request: RequestRules | None = None
    """Of requests, before they go upstream."""

    response: ResponseRules | tuple[ResponseRules, ...] = ()
    """Of responses, also of those that the gateway and other plugins make; several by status, in order."""

    security: bool | SecurityConfig = False
    """Fields by which browsers protect users: ``true`` for the defaults."""

    hide_server: bool = False
    """Whether to remove what names an upstream's software: Server, X-Powered-By, X-AspNet-Version,
    X-AspNetMvc-Version, X-Generator, X-Runtime."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.request is None and not self.response and not self.security and not self.hide_server:
            raise ValueError("changes nothing: write what to do into request, response, security or hide_server")
        return self
