"""Routes: match rules, a target and plugin bindings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway_core.config.address import is_host, parse_origin
from gateway_core.config.models.base import Section
from gateway_core.config.models.binding import BindingConfig
from gateway_core.config.models.path_policy import RoutePathPolicyConfig
from gateway_core.config.models.resilience import RetriesConfig, RouteTimeoutsConfig
from gateway_core.config.values import (
    HeaderName,
    Integer,
    InvalidValueError,
    Method,
    Name,
    Percent,
    Regex,
    Size,
    Switch,
    Weight,
)


def _check_target(value: str) -> str:
    if "://" in value or value.startswith("//"):
        parse_origin(value)
    elif not value:
        raise InvalidValueError("is empty, where the name of an upstream or a URL is expected")
    return value


Target = Annotated[str, AfterValidator(_check_target)]
"""The name of an upstream, or a URL that is only scheme, host and port."""


def is_url(target: str) -> bool:
    """Whether a target is a URL rather than an upstream's name."""
    return "://" in target


_HOST_REMEDY: Final = "write for example api.example.com or *.example.com"


def _check_host(value: str) -> str:
    if "://" in value or "/" in value:
        raise InvalidValueError(f"is a URL, where a host is expected: {_HOST_REMEDY}")
    name = value.removeprefix("*.").strip("[]")
    if "*" in name:
        raise InvalidValueError("has a * that is not the first label: write it as in *.example.com")
    if ":" in name and not is_host(name):
        raise InvalidValueError("has a port, which is ignored when hosts are compared: leave it out")
    if not is_host(name):
        raise InvalidValueError(f"is not a host: {_HOST_REMEDY}")
    return value


Host = Annotated[str, AfterValidator(_check_host)]
"""A host name, or ``*.`` before one for every name below it."""


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
            raise ValueError(f"{what}: give exactly one of value, regex and present")
        return self


def _as_condition(value: Any) -> Any:
    if isinstance(value, (int, float)):
        raise InvalidValueError("is not text: put it in quotes")
    return {"value": value} if isinstance(value, str) else value


Condition = Annotated[ConditionConfig, BeforeValidator(_as_condition, json_schema_input_type=str | ConditionConfig)]


class WeightedTargetConfig(Section):
    """One of several targets."""

    target: Target
    """The name of an upstream, or a URL."""

    weight: Weight = 1
    """Share of the requests relative to the other targets."""


class MirrorConfig(Section):
    """Where copies of requests go; their responses are dropped.

    Copies never delay requests. The limits and timeouts of their upstream hold for them, and each ends after 30 seconds
    at most; one for which there is no free connection, or that would be the 101st under way, is dropped. Requests with
    bodies of more than 64 KiB, and those that ask for another protocol, are not copied.
    """

    target: Target
    """The name of an upstream, or a URL."""

    percent: Percent = 100.0
    """Share of the requests that is copied."""

    credentials: Switch = False
    """Whether copies carry the client's Authorization and Cookie."""


class RewriteConfig(Section):
    """What the upstream gets instead of the path: exactly one of the two."""

    prefix: str | None = None
    """Replaces the prefix that matched, or the literal part of ``path`` before its first parameter."""

    template: str | None = None
    """The whole new path; ``:name`` and ``*name`` stand for the parameters of ``path``."""

    @model_validator(mode="after")
    def _check(self) -> RewriteConfig:
        if (self.prefix is None) == (self.template is None):
            raise ValueError("give exactly one of prefix and template")
        for name, text in (("prefix", self.prefix), ("template", self.template)):
            if text is not None and (not text.startswith("/") or re.search(r"[\s?#\\\x00-\x1f\x7f]", text)):
                raise ValueError(f"the {name} is not a path: begin with / and leave out spaces, ?, # and \\")
        return self


class RedirectConfig(Section):
    """Answer with a redirect; what is not given stays as in the request."""

    status: Literal[301, 302, 303, 307, 308] = 308
    """Status of the answer; 307 and 308 keep method and body."""

    scheme: Literal["http", "https"] | None = None
    """Scheme of the new location."""

    host: str | None = None
    """Host of the new location, with a port if there is one."""

    path: str | None = None
    """Path of the new location; ``:name`` and ``*name`` stand for the parameters of ``path``."""

    @model_validator(mode="after")
    def _check(self) -> RedirectConfig:
        if self.scheme is None and self.host is None and self.path is None:
            raise ValueError("leads back to the same place: give scheme, host or path")
        if self.path is not None and (not self.path.startswith("/") or re.search(r"[\s\\\x00-\x1f\x7f]", self.path)):
            raise ValueError("the path does not begin with / or holds a space, a \\ or a control character")
        if self.host is not None and not is_host(re.sub(r":\d{1,5}$", "", self.host).strip("[]")):
            raise ValueError("the host is not a host name, with or without a port")
        return self


class RouteConfig(Section):
    """Which requests it takes, where they go, and what happens to them on the way."""

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

    methods: tuple[Method, ...] = ()
    """Methods in capitals; every method unless given."""

    hosts: tuple[Host, ...] = ()
    """Host names, or ``*.`` before one for every name below it; every host unless given."""

    headers: Mapping[HeaderName, Condition] = Field(default_factory=dict)
    """Headers that must match: a value, ``{regex: ...}`` or ``{present: true}``. One of several fields suffices."""

    query: Mapping[str, Condition] = Field(default_factory=dict)
    """Query parameters that must match, like headers; one of several values suffices."""

    priority: Integer = 0
    """The highest wins, before anything else is compared."""

    target: Target | None = None
    """The name of an upstream, or a URL such as ``http://127.0.0.1:8081``."""

    targets: tuple[WeightedTargetConfig, ...] = ()
    """Several targets that share the requests."""

    mirror: MirrorConfig | None = None
    """Where copies of requests go."""

    redirect: RedirectConfig | None = None
    """Answer with a redirect instead of asking an upstream."""

    strip_path: Switch = False
    """Leave out the prefix that matched, or the literal part of ``path`` before its first parameter."""

    rewrite: RewriteConfig | None = None
    """Send another path upstream."""

    path_policy: RoutePathPolicyConfig | None = None
    """What this route refuses of a path's spelling, in place of the document's ``path_policy``."""

    preserve_host: Switch = False
    """Send the client's Host header upstream instead of the endpoint's."""

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
        paths = {"path": self.path, "path_prefix": self.path_prefix, "path_regex": self.path_regex}
        targets = {"target": self.target, "targets": self.targets or None, "redirect": self.redirect}
        problems = [*_not_exactly_one(paths), *_not_exactly_one(targets)]
        if self.strip_path and self.rewrite is not None:
            problems.append("strip_path and rewrite contradict each other: keep one of them")
        if self.targets and not any(item.weight for item in self.targets):
            problems.append("every weight in targets is 0: give at least one of them a share")
        if self.redirect is not None and self.mirror is not None:
            problems.append("redirect and mirror contradict each other: a redirect sends nothing upstream")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _not_exactly_one(options: Mapping[str, object]) -> list[str]:
    given = [name for name, value in options.items() if value is not None]
    names = list(options)
    choice = f"{', '.join(names[:-1])} and {names[-1]}"
    if len(given) > 1:
        return [f"{' and '.join(given)} are given: keep exactly one of {choice}"]
    return [] if given else [f"give exactly one of {choice}"]
