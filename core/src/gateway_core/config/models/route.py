"""Routes: match rules, a target and plugin bindings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway_core.config.address import UNIX, check_host_pattern, parse_origin
from gateway_core.config.models.base import Section
from gateway_core.config.models.binding import BindingConfig
from gateway_core.config.models.conditions import AddressCondition, Condition, CookieName, Scheme
from gateway_core.config.models.error_pages import ErrorPageConfig
from gateway_core.config.models.grpc import GrpcConfig
from gateway_core.config.models.own_response import RedirectConfig, RespondConfig
from gateway_core.config.models.resilience import RetriesConfig, RouteTimeoutsConfig
from gateway_core.config.models.rewrite import (
    ParameterName,
    RewriteConfig,
    RewriteResponseConfig,
    RoutePathPolicyConfig,
)
from gateway_core.config.models.tracing import RouteTracingConfig
from gateway_core.config.models.upstream import HashOn, StickyCookieConfig
from gateway_core.config.suggestions import Fault, listed, quote
from gateway_core.config.values import (
    NOT_EMPTY,
    HeaderName,
    Integer,
    InvalidValueError,
    Method,
    Name,
    Percent,
    PositiveSize,
    Size,
    Switch,
    Weight,
    refuse,
)


def _check_target(value: str) -> str:
    if re.match(r"https?://(?![^/]*@)[^/\[]*(:[A-Za-z_]|[{$])", value):  # but user:password@ and an IPv6 address
        remedy = "write the name of an upstream, such as users-:tenant: no request chooses a host that is not there"
        raise InvalidValueError("takes its host from the request", remedy=remedy)
    if is_url(value) or value.startswith("//"):
        parse_origin(value)
    elif not value:
        raise InvalidValueError("is empty, where the name of an upstream or a URL is expected")
    return value


Target = Annotated[str, AfterValidator(_check_target)]
"""The name of an upstream, a URL that is only scheme, host and port, or ``unix:/path``."""


def is_url(target: str) -> bool:
    """Whether a target is a URL or a unix socket rather than an upstream's name."""
    return "://" in target or target.startswith(UNIX)


_CAPTURE: Final = re.compile(r":[A-Za-z_][A-Za-z0-9_-]*\.")


def _check_route_host(value: str) -> str:
    if foreign := re.search(r"[{<$]\{?(\w+)[}>]?", value):
        raise InvalidValueError(
            "is not a host", remedy=f"write :{foreign[1]}. before a name to capture its first label"
        )
    if value == "_":
        raise InvalidValueError("is every host for nginx, and a name here", remedy="leave hosts out")
    if value.startswith("."):
        raise InvalidValueError("is not a host", remedy=f'write "*{value}", and "{value[1:]}" for the name itself')
    captured = _CAPTURE.match(value)
    if captured is None and value.startswith(":"):
        raise InvalidValueError("has no name before its first dot", remedy="write it as in :tenant.example.com")
    if value == "*":
        raise InvalidValueError("is every host, which is what a route without hosts takes", remedy="leave hosts out")
    rest = value if captured is None else value[captured.end() :]
    if ".:" in f".{rest}":
        raise InvalidValueError("captures more than its first label", remedy="write it as in :tenant.example.com")
    if captured is not None and rest.startswith("*"):
        raise InvalidValueError("has a * behind a captured label", remedy="write it as in :tenant.example.com")
    check_host_pattern(rest)
    return value


RouteHost = Annotated[str, AfterValidator(_check_route_host)]
"""A host name; ``*.`` before one takes every name below it, ``:name.`` captures one label."""


class WeightedTargetConfig(Section):
    """One of several targets."""

    target: Target
    """The name of an upstream, a URL, or ``unix:/path``."""

    weight: Weight = 1
    """Share of the requests relative to the other targets."""

    backup: Switch = False
    """``true``: gets requests only while no other target has a healthy endpoint."""

    rewrite: RewriteConfig | None = None
    """Rewrite of requests to this target, instead of the route's ``rewrite``; a ``prefix`` or ``template`` also
    replaces the route's ``strip_path``."""

    plugins: tuple[BindingConfig, ...] = ()
    """Bindings for requests to this target, after the route's own; they replace none."""


class MirrorConfig(Section):
    """Where copies of requests go; their responses are dropped.

    Copies never delay requests. The limits and timeouts of their upstream apply to them, and each ends after 30 seconds
    at most; a copy is dropped if no connection is free or 100 are in flight. Requests with
    bodies of more than 64 KiB, and those that ask for another protocol, are not copied.
    """

    target: Target
    """The name of an upstream, a URL, or ``unix:/path``."""

    percent: Percent = 100.0
    """Share of the requests that is copied."""

    credentials: Switch = False
    """Whether copies carry credentials: Authorization, Cookie, ``X-API-Key`` and similar fields, and the fields and
    query parameters in which the route's plugins look for some, such as ``key_from`` of ``auth``."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, Mapping) else value


Mirrors = Annotated[
    tuple[MirrorConfig, ...], BeforeValidator(_as_list, json_schema_input_type=MirrorConfig | list[MirrorConfig])
]
"""One mirror or several."""


def _as_texts(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Paths = Annotated[tuple[str, ...], BeforeValidator(_as_texts, json_schema_input_type=str | list[str]), NOT_EMPTY]
"""One path or several."""


class RoutePaths(Section):
    """What a route is called, and its paths."""

    id: Name
    """Name in logs, metrics and commands; made from methods and path unless given."""

    path: Paths = ()
    """Pattern of the whole path, or several: ``/users/:id`` takes one segment, ``/files/*rest`` all that follows. A
    route without ``path``, ``path_prefix`` and ``path_regex`` takes every path; one with several takes what any of them
    does."""

    path_prefix: Paths = ()
    """Path that matches with everything below it, or several: ``/feature`` takes ``/feature/x``, not
    ``/featureflags``."""

    path_regex: Paths = ()
    """Regular expression that the whole path matches, or several; see [patterns](patterns.md)."""

    grpc: GrpcConfig | None = None
    """Calls of gRPC, by service and method, instead of a path; other requests for the same path do not match."""


class RouteDefaultsConfig(Section):
    """What holds for the routes of the same document that do not say otherwise: a route's value replaces it whole."""

    description: str = ""
    """For people."""

    enabled: Switch = True
    """``false`` switches the route off: its requests go to the next one that matches."""

    methods: tuple[Method, ...] = ()
    """Methods in capitals; by default every method. GET does not include HEAD."""

    listeners: Annotated[tuple[Name, ...], NOT_EMPTY] = ()
    """Names of the listeners that serve the route; by default those with ``default: true``."""

    hosts: tuple[RouteHost, ...] = ()
    """Host names; ``*.`` before one takes every name below it, at any depth, but not the name itself; ``:tenant.``
    takes one label and captures it as a parameter. Every host unless given."""

    scheme: Scheme | None = None
    """The scheme as the client sees it: X-Forwarded-Proto of a trusted proxy, else that of the connection."""

    headers: Mapping[HeaderName, Condition] = Field(default_factory=dict)
    """Headers of the request that must match, they set none: a value, ``{regex: ...}``, ``{present: true}``, ``{one_of:
    [...]}`` or ``{none_of: [...]}``. One of several fields suffices."""

    query: Mapping[str, Condition] = Field(default_factory=dict)
    """Query parameters that must match, like headers; one of several values suffices."""

    cookies: Mapping[CookieName, Condition] = Field(default_factory=dict)
    """Cookies that must match, like headers."""

    params: Mapping[ParameterName, Condition] = Field(default_factory=dict)
    """Parameters of path and host that must match, like headers."""

    client_ip: AddressCondition | None = None
    """Networks of the client's address: one, ``{one_of: [...]}`` or ``{none_of: [...]}``."""

    priority: Integer = 0
    """The highest wins, before anything else is compared."""

    target: Target | None = None
    """The name of an upstream, a URL such as ``http://127.0.0.1:8081``, or a unix socket such as
    ``unix:/run/users.sock``."""

    targets: Annotated[tuple[WeightedTargetConfig, ...], NOT_EMPTY] = ()
    """Several targets that share the requests."""

    sticky_cookie: StickyCookieConfig | None = None
    """Keep a client on one of ``targets`` by a cookie."""

    hash_on: HashOn = ()
    """Keep requests with the same value of this on one of ``targets``; as ``hash_on`` of upstreams."""

    mirror: Mirrors = ()
    """Where copies of requests go: one mirror or a list."""

    redirect: RedirectConfig | None = None
    """Respond with a redirect instead of sending the request upstream."""

    respond: RespondConfig | None = None
    """Respond with this instead of sending the request upstream."""

    error_pages: tuple[ErrorPageConfig, ...] = ()
    """Pages in the place of error responses of this route, before the gateway-wide ones."""

    strip_path: Switch = False
    """Remove the prefix that matched, or the literal part of ``path`` before its first parameter."""

    rewrite: RewriteConfig | None = None
    """Send another path, Host or query upstream."""

    rewrite_response: RewriteResponseConfig | None = None
    """Undo in responses what ``strip_path`` and ``rewrite`` changed."""

    path_policy: RoutePathPolicyConfig | None = None
    """Which spellings of a path this route refuses, in place of the document's ``path_policy``."""

    preserve_host: Switch | None = None
    """Send the client's Host header upstream instead of the endpoint's; by default as the upstream's
    ``preserve_host``. A Host that a plugin sets comes before either."""

    buffer_request: PositiveSize | None = None
    """Buffer each request's body before an endpoint is picked, and send it with a Content-Length; a body that is longer
    than this gets 413. Bodies are kept in memory, so choose a small size."""

    timeouts: RouteTimeoutsConfig | None = None
    """Timeouts in place of the upstream's."""

    retries: RetriesConfig | None = None
    """Retries in place of the upstream's."""

    max_body_bytes: Size | None = None
    """Longest request body in place of ``limits.max_body_bytes``; 0 is no limit."""

    tracing: RouteTracingConfig | None = None
    """How traces are sampled, in place of the gateway's ``tracing``."""

    plugins: tuple[BindingConfig, ...] = ()
    """Bindings of this route, in order, after the gateway-wide ones."""


def _as_defaults(value: Any) -> Any:
    return [value] if isinstance(value, Mapping) else value


RouteDefaults = Annotated[
    tuple[RouteDefaultsConfig, ...], BeforeValidator(_as_defaults, json_schema_input_type=RouteDefaultsConfig)
]
"""Those of each document."""


class RouteConfig(RouteDefaultsConfig, RoutePaths):
    """Which requests match, where they go, and what happens to them on the way."""

    @property
    def binds_plugins(self) -> bool:
        """Whether it, or a target of it, binds plugins, switched on or not."""
        return bool(self.plugins) or any(each.plugins for each in self.targets)

    @property
    def written_paths(self) -> list[tuple[str, int, str]]:
        """Every path of the route: its key, its place in that list, and its text."""
        lists = (("path", self.path), ("path_prefix", self.path_prefix), ("path_regex", self.path_regex))
        found = [(key, index, text) for key, texts in lists for index, text in enumerate(texts)]
        return found if self.grpc is None else [*found, ("grpc", 0, self.grpc.path)]

    @property
    def sends_upstream(self) -> bool:
        """Whether its requests go to a target, unless a plugin responds to them."""
        return self.target is not None or bool(self.targets)

    @property
    def effective_scheme(self) -> str | None:
        """The scheme of the requests that it takes: a redirect to a scheme is for those of the other one."""
        if self.scheme is None and self.redirect is not None and self.redirect.scheme is not None:
            return "http" if self.redirect.scheme == "https" else "https"
        return self.scheme

    @model_validator(mode="after")
    def _check(self) -> RouteConfig:
        targets = {
            "target": self.target, "targets": self.targets or None, "redirect": self.redirect, "respond": self.respond,
        }  # fmt: skip
        given = [name for name, value in targets.items() if value is not None]
        problems = []
        if len(given) > 1:
            problems.append(
                Fault(f"{' and '.join(given)} are given", f"keep exactly one of {listed(targets, last='and')}")
            )
        elif not given and self.enabled and not any(binding.enabled for binding in self.plugins):
            # One of its bindings may respond: the catalog of plugins knows (`check_responses`).
            problems.append(Fault("lacks a key", f"give exactly one of {listed(targets, last='and')}"))
        problems += [*self._check_paths(), *self._check_targets(), *self._check_rewrites(), *self._check_grpc()]
        if not self.sends_upstream and self.mirror:
            what = given[0] if given else "a route without target"
            problems.append(
                Fault(f"{what} and mirror contradict each other, as {what} sends nothing upstream", "keep one of them")
            )
        refuse(problems)
        return self

    def _check_paths(self) -> Iterator[Fault]:
        written = self.written_paths
        for key, index, text in written:
            if any((key, text) == (other, known) for other, place, known in written if place < index):
                yield Fault(f"{key}[{index}] repeats {quote(text)}", "keep it once")

    def _check_targets(self) -> Iterator[Fault]:
        given = [name for name, value in (("sticky_cookie", self.sticky_cookie), ("hash_on", self.hash_on)) if value]
        if len(given) > 1:
            yield Fault("sticky_cookie and hash_on contradict each other", "keep one of them")
        if not self.targets:
            for name in given:
                yield Fault(
                    f"{name} keeps clients on one of several targets", f"give targets, or write {name} on the upstream"
                )
            return
        first: dict[str, WeightedTargetConfig] = {}
        for index, item in enumerate(self.targets):
            if first.setdefault(item.target, item).plugins != item.plugins:
                earlier = f"an earlier target {item.target!r}"
                yield Fault(f"targets[{index}] has other plugins than {earlier}", "write the same on both")
        if not any(item.weight for item in self.targets):
            yield Fault("every weight in targets is 0", "give at least one of them a share")
        elif all(item.backup or not item.weight for item in self.targets):
            yield Fault(
                "every target with a share is a backup", "leave out backup on those that are to get the requests"
            )

    def _check_grpc(self) -> Iterator[Fault]:
        if self.grpc is None:
            return
        paths = [key for key in ("path", "path_prefix", "path_regex") if getattr(self, key)]
        if paths:
            yield Fault(f"grpc and {' and '.join(paths)} are given", "keep grpc or the others")
        if self.methods:
            yield Fault("grpc and methods exclude each other, as every call of gRPC is a POST", "leave out methods")
        if self.redirect is not None:
            yield Fault("grpc and redirect exclude each other, as calls of gRPC follow none", "give a target")
        if self.respond is not None:
            yield Fault("grpc and respond exclude each other, as calls of gRPC end with trailers", "give a target")
        own = [self.rewrite, *(item.rewrite for item in self.targets)]
        if self.strip_path or any(each is not None and each.prefix is not None for each in own):
            yield Fault(
                "strip_path and rewrite.prefix leave no path of a call of gRPC",
                "write rewrite.template, such as /other.Service/:method",
            )

    def _check_rewrites(self) -> Iterator[Fault]:
        own = [
            ("rewrite", self.rewrite),
            *((f"targets[{i}].rewrite", item.rewrite) for i, item in enumerate(self.targets)),
        ]
        if self.strip_path and self.rewrite is not None and self.rewrite.changes_path:
            key = "prefix" if self.rewrite.template is None else "template"
            yield Fault(f"strip_path and rewrite.{key} contradict each other", "keep one of them")
        for name, rewrite in own:
            if rewrite is None:
                continue
            if rewrite.host is not None and self.preserve_host:
                yield Fault(f"preserve_host and {name}.host contradict each other", "keep one of them")
            if rewrite.template is not None and self.rewrite_response is not None:
                yield Fault(
                    f"rewrite_response cannot undo {name}.template", "write a prefix, or leave rewrite_response out"
                )
