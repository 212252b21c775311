"""Routes: match rules, a target and plugin bindings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway_core.config.address import UNIX, is_host, parse_origin
from gateway_core.config.models.base import Section
from gateway_core.config.models.binding import BindingConfig
from gateway_core.config.models.grpc import GrpcConfig
from gateway_core.config.models.listen import Host
from gateway_core.config.models.resilience import RetriesConfig, RouteTimeoutsConfig
from gateway_core.config.models.rewrite import RewriteConfig, RewriteResponseConfig, RoutePathPolicyConfig
from gateway_core.config.models.upstream import HashOn, StickyCookieConfig
from gateway_core.config.suggestions import Fault
from gateway_core.config.values import (
    NOT_EMPTY,
    HeaderName,
    InconsistentError,
    Integer,
    InvalidValueError,
    Method,
    Name,
    Percent,
    PositiveSize,
    Regex,
    Size,
    Switch,
    Weight,
    refuse,
)


def _check_target(value: str) -> str:
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


class ConditionConfig(Section):
    """What a header or a query parameter must be: exactly one of the three."""

    value: str | None = None
    """The whole value."""

    regex: Regex | None = None
    """A regular expression that the whole value matches; see [patterns](patterns.md)."""

    present: Switch | None = None
    """``true``: it is there, whatever its value; ``false``: it is not there."""

    @model_validator(mode="after")
    def _check(self) -> ConditionConfig:
        given = [name for name in ("value", "regex", "present") if getattr(self, name) is not None]
        if len(given) != 1:
            what = " and ".join(given) + " are given" if given else "nothing is given"
            raise InconsistentError(f"{what}", remedy="give exactly one of value, regex and present")
        return self


def _as_condition(value: Any) -> Any:
    if isinstance(value, (int, float)):
        raise InvalidValueError("is not text", remedy="put it in quotes")
    return {"value": value} if isinstance(value, str) else value


Condition = Annotated[ConditionConfig, BeforeValidator(_as_condition, json_schema_input_type=str | ConditionConfig)]


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
    """Whether copies carry the client's Authorization and Cookie."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, Mapping) else value


Mirrors = Annotated[
    tuple[MirrorConfig, ...], BeforeValidator(_as_list, json_schema_input_type=MirrorConfig | list[MirrorConfig])
]
"""One mirror or several."""


class RedirectConfig(Section):
    """Respond with a redirect; what is not given stays as in the request."""

    status: Literal[301, 302, 303, 307, 308] = 308
    """Status of the response; 307 and 308 keep method and body."""

    scheme: Literal["http", "https"] | None = None
    """Scheme of the new location."""

    host: str | None = None
    """Host of the new location, with a port if there is one."""

    path: str | None = None
    """Path of the new location; ``:name`` and ``*name`` stand for the parameters of ``path``."""

    @model_validator(mode="after")
    def _check(self) -> RedirectConfig:
        if self.scheme is None and self.host is None and self.path is None:
            raise InconsistentError("leads back to the same place", remedy="give scheme, host or path")
        if self.path is not None and (not self.path.startswith("/") or re.search(r"[\s\\\x00-\x1f\x7f]", self.path)):
            raise InconsistentError("the path does not begin with / or holds a space, a \\ or a control character")
        if self.host is not None and not is_host(re.sub(r":\d{1,5}$", "", self.host).strip("[]")):
            raise InconsistentError("the host is not a host name, with or without a port")
        return self


class RouteConfig(Section):
    """Which requests match, where they go, and what happens to them on the way."""

    id: Name
    """Name in logs, metrics and commands; made from methods and path unless given."""

    description: str = ""
    """For people."""

    path: str | None = None
    """Pattern of the whole path: ``/users/:id`` takes one segment, ``/files/*rest`` all that follows."""

    path_prefix: str | None = None
    """Path that matches with everything below it."""

    path_regex: str | None = None
    """Regular expression that the whole path matches; see [patterns](patterns.md)."""

    grpc: GrpcConfig | None = None
    """Calls of gRPC, by service and method, instead of a path; other requests for the same path do not match."""

    methods: tuple[Method, ...] = ()
    """Methods in capitals; by default every method."""

    listeners: Annotated[tuple[Name, ...], NOT_EMPTY] = ()
    """Names of the listeners that serve the route; by default those with ``default: true``."""

    hosts: tuple[Host, ...] = ()
    """Host names, or ``*.`` before one for every name below it; every host unless given."""

    headers: Mapping[HeaderName, Condition] = Field(default_factory=dict)
    """Headers that must match: a value, ``{regex: ...}`` or ``{present: true}``. One of several fields suffices."""

    query: Mapping[str, Condition] = Field(default_factory=dict)
    """Query parameters that must match, like headers; one of several values suffices."""

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
    ``preserve_host``."""

    buffer_request: PositiveSize | None = None
    """Buffer each request's body before an endpoint is picked, and send it with a Content-Length; a body that is longer
    than this gets 413. Bodies are kept in memory, so choose a small size."""

    timeouts: RouteTimeoutsConfig | None = None
    """Timeouts in place of the upstream's."""

    retries: RetriesConfig | None = None
    """Retries in place of the upstream's."""

    max_body_bytes: Size | None = None
    """Longest request body in place of ``limits.max_body_bytes``; 0 is no limit."""

    plugins: tuple[BindingConfig, ...] = ()
    """Bindings of this route, in order, after the gateway-wide ones."""

    @model_validator(mode="after")
    def _check(self) -> RouteConfig:
        paths = {"path": self.path, "path_prefix": self.path_prefix, "path_regex": self.path_regex, "grpc": self.grpc}
        targets = {"target": self.target, "targets": self.targets or None, "redirect": self.redirect}
        problems = [*_not_exactly_one(paths), *_not_exactly_one(targets)]
        problems += [*self._check_targets(), *self._check_rewrites(), *self._check_grpc()]
        if self.redirect is not None and self.mirror:
            problems.append(
                Fault(
                    "redirect and mirror contradict each other, as a redirect sends nothing upstream",
                    "keep one of them",
                )
            )
        refuse(problems)
        return self

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
        if self.methods:
            yield Fault("grpc and methods exclude each other, as every call of gRPC is a POST", "leave out methods")
        if self.redirect is not None:
            yield Fault("grpc and redirect exclude each other, as calls of gRPC follow none", "give a target")
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


def _not_exactly_one(options: Mapping[str, object]) -> list[Fault]:
    given = [name for name, value in options.items() if value is not None]
    names = list(options)
    choice = f"{', '.join(names[:-1])} and {names[-1]}"
    if len(given) > 1:
        return [Fault(f"{' and '.join(given)} are given", f"keep exactly one of {choice}")]
    return [] if given else [Fault("lacks a key", f"give exactly one of {choice}")]
