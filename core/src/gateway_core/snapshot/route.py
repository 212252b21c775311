"""A route: what its section of the configuration means, and what that compiles to, ready to serve requests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

from gateway_core.config import (
    AddressConditionConfig,
    GatewayConfig,
    PathPolicyConfig,
    RewriteConfig,
    RouteConfig,
    RouteTimeoutsConfig,
    TimeoutsConfig,
)
from gateway_core.config.address import TargetName
from gateway_core.config.models.grpc import GRPC_CONTENT_TYPE, GRPC_METHOD
from gateway_core.metrics.counts import RouteCounts
from gateway_core.routing import (
    DEFAULT_POLICY,
    AddressCondition,
    PathPolicy,
    Pattern,
    QueryRewrite,
    ResponseRewrite,
    RewriteOptions,
    RouteRule,
    ValueCondition,
    arrival_policy,
    compile_query_rewrite,
    compile_rewrite,
    host_captures,
    params_of,
    prefix_change,
    rule_pattern,
)

if TYPE_CHECKING:
    from gateway_core.hooks import Chain, EarlyPasses, Hook
    from gateway_core.hooks.credentials import Credentials
    from gateway_core.messages import Request, Response, RouteInfo
    from gateway_core.observe.tracing.sampling import SamplingPolicy
    from gateway_core.snapshot.target_split import TargetSplit
    from gateway_core.upstreams.retry import RetryPolicy
    from gateway_core.upstreams.upstream import Upstream


P = TypeVar("P")

_DEFAULT_POLICY = PathPolicyConfig()
_IS_GRPC = ValueCondition("content-type", regex=GRPC_CONTENT_TYPE)


def path_policy(config: PathPolicyConfig, route: RouteConfig | None = None) -> PathPolicy:
    """Return the policy of a document, or of one of its routes: what that does not say is as in the document."""
    if route is None or route.path_policy is None:
        return _policy_of(config)
    return replace(_policy_of(config), **route.path_policy.model_dump(exclude_none=True))


@lru_cache(8)
def _policy_of(config: PathPolicyConfig) -> PathPolicy:
    return PathPolicy(**config.model_dump())


def arrival_policy_of(config: GatewayConfig, routes: Sequence[RouteConfig] | None = None) -> PathPolicy:
    """Return what is refused before a route is known.

    :param routes: those that have a policy of their own, if they are known already.
    """
    routes = config.routes if routes is None else routes
    own = [path_policy(config.path_policy, each) for each in routes if each.enabled and each.path_policy is not None]
    return arrival_policy([path_policy(config.path_policy), *own])


def route_rules(
    config: RouteConfig, order: int, payload: P, document: PathPolicyConfig = _DEFAULT_POLICY
) -> tuple[RouteRule[P], ...]:
    """Return when a route matches: one rule for each of its paths, in the order in which they are written.

    :param document: the path policy of the document that the route stands in.
    """
    grpc = config.grpc
    first: RouteRule[P] = RouteRule(
        id=config.id,
        payload=payload,
        methods=frozenset(config.methods if grpc is None else (GRPC_METHOD,)),
        hosts=config.hosts,
        headers=ValueCondition.of(config.headers) if grpc is None else (_IS_GRPC, *ValueCondition.of(config.headers)),
        query=ValueCondition.of(config.query),
        cookies=ValueCondition.of(config.cookies),
        params=ValueCondition.of(config.params),
        client_ip=_address_condition(config.client_ip),
        scheme=config.effective_scheme,
        priority=config.priority,
        order=order,
        policy=path_policy(document, config),
    )
    found = [replace(first, path=text) for text in (config.path if grpc is None else (grpc.path,))]
    found += [replace(first, path_prefix=text) for text in config.path_prefix]
    found += [replace(first, path_regex=text) for text in config.path_regex]
    return tuple(found) or (first,)


def _address_condition(configured: AddressConditionConfig | None) -> AddressCondition | None:
    return None if configured is None else AddressCondition(configured.one_of or (), configured.none_of or ())


def patterns_of(config: RouteConfig, document: PathPolicyConfig = _DEFAULT_POLICY) -> tuple[Pattern, ...]:
    """Return the patterns of a route's paths, in order; arguments as for `route_rules`.

    :raises PatternError: one cannot be matched.
    """
    return tuple([rule_pattern(rule) for rule in route_rules(config, 0, None, document)])


DEFAULT_TIMEOUTS: Final = TimeoutsConfig()
"""Of targets that are URLs."""


def timeouts_of(upstream: TimeoutsConfig, route: RouteTimeoutsConfig | None) -> TimeoutsConfig:
    """Return an upstream's timeouts with what a route changes in them."""
    return upstream if route is None else upstream.model_copy(update=route.model_dump(exclude_none=True))


def targets_of(route: RouteConfig) -> list[str]:
    """Return the targets of a route as they are written."""
    named = [item.target for item in route.targets]
    return named if route.target is None else [route.target, *named]


PathChange = Callable[[Mapping[str, str], str], str]
"""Makes the path to send upstream of the pattern's parameters and the raw path; may raise `UnsafePathError`."""


@dataclass(frozen=True, slots=True)
class RequestRewrite:
    """How requests to one target of a route are sent."""

    path: PathChange | None = None
    """None if the path goes upstream as it came."""
    takes_params: bool = False
    """Whether `path` looks at the pattern's parameters, which are parted and decoded for it."""
    query: QueryRewrite | None = None
    host: bytes = b""
    """The Host that is sent, unless a plugin wrote one; empty for the client's or the endpoint's."""
    preserve_host: bool | None = None
    """Whether the client's Host is sent; None is the upstream's default."""
    prefix: bytes = b""
    """X-Forwarded-Prefix: the start of the path that the client sees and the upstream does not; empty for none."""
    response: ResponseRewrite | None = None
    """What is undone in responses."""


NO_REWRITE: Final = RequestRewrite()


def request_rewrite(route: RouteConfig, own: RewriteConfig | None, pattern: Pattern) -> RequestRewrite:
    """Return how requests are sent.

    :param own: the ``rewrite`` of a target, which replaces the route's.
    :raises RewriteError: the pattern and the rewrite do not go together.
    """
    rewrite = own or route.rewrite
    is_plain = rewrite is None and not route.strip_path and route.rewrite_response is None
    if is_plain and route.preserve_host is None:
        return NO_REWRITE
    changes_path = rewrite is not None and rewrite.changes_path
    options = RewriteOptions(
        strip=route.strip_path and not changes_path,
        prefix=None if rewrite is None else rewrite.prefix,
        template=None if rewrite is None else rewrite.template,
    )
    hosts = host_captures(route.hosts)
    path = compile_rewrite(pattern, options, hosts)
    change = None if path is None or options.template is not None else prefix_change(pattern, options.prefix)
    query = None if rewrite is None else rewrite.query
    host = "" if rewrite is None or rewrite.host is None else rewrite.host
    undo = route.rewrite_response
    return RequestRewrite(
        path=None if path is None else lambda params, sent: path.apply(sent, params),
        takes_params=options.template is not None,
        query=None
        if query is None
        else compile_query_rewrite(query.remove, query.set, (*pattern.params, *hosts), query.keep),
        host=host.encode("ascii"),
        preserve_host=route.preserve_host,
        prefix=b"" if change is None else change.hidden.encode("ascii"),
        response=None
        if undo is None
        else ResponseRewrite(change, host, undo.location, undo.cookie_path, undo.cookie_domain),
    )


def sent_path_of(rewrite: PathChange | None, policy: PathPolicy) -> PathChange:
    """Return what makes the path that goes upstream of a path as it was sent."""
    if rewrite is None:
        return lambda _params, path: policy.sent(path)
    return lambda params, path: policy.sent(rewrite(params, path))


OwnResponse = Callable[["Request"], "Response"]
"""Responds in place of a target: with a redirect, with a fixed response, or for want of one."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where copies of a route's requests go."""

    upstream: Upstream
    percent: float
    """Share of the requests that is copied."""
    credentials: Credentials | None
    """What copies come without; None if they carry credentials."""
    timeouts: TimeoutsConfig
    """Those of the upstream."""
    attempt_hooks: tuple[Hook, ...] = ()
    """Those of the upstream."""


@dataclass(frozen=True, slots=True, eq=False)
class RouteTarget:
    """One target of a route: an upstream, and what differs for the requests that go there."""

    upstream: Upstream
    weight: int = 1
    is_backup: bool = False
    rewrite: RequestRewrite = NO_REWRITE
    preserve_host: bool = False
    """Whether the client's Host is sent where neither a plugin nor ``rewrite`` says another."""
    is_plain: bool = field(init=False)
    """Whether a request that hooks left as it came goes there as it came, apart from Host and forwarding fields."""

    def __post_init__(self) -> None:
        rewrite = self.rewrite
        is_plain = rewrite.path is None and rewrite.query is None and not rewrite.host and not rewrite.prefix
        object.__setattr__(self, "is_plain", is_plain)

    @property
    def id(self) -> str:
        """What cookies and keys know it by."""
        return self.upstream.name


@dataclass(frozen=True, slots=True, eq=False)
class NamedTargets:
    """What a route is for each upstream that its target may name by a parameter."""

    name: TargetName
    routes: Mapping[str, CompiledRoute]
    """By the upstream's name."""

    def get(self, params: Mapping[str, str]) -> CompiledRoute | None:
        """Return the route for the upstream that the parameters of a request name; None if there is none."""
        name = self.name.for_params(params)
        return None if name is None else self.routes.get(name)


@dataclass(slots=True, eq=False)
class CompiledRoute:
    """Everything that the pipeline needs to know of a route."""

    info: RouteInfo
    chain: Chain
    upstream: Upstream | None = None
    """The only target; None if there are several, or none."""
    targets: tuple[RouteTarget, ...] = ()
    """All targets, in the order of the configuration; none if the route responds itself."""
    split: TargetSplit[RouteTarget] | None = None
    """Picks one of several targets; None if there are not several."""
    mirrors: tuple[Mirror, ...] = ()
    """Where copies of requests go."""
    own: RequestRewrite = NO_REWRITE
    """How requests are sent to an upstream that is none of the targets, since a plugin chose it."""
    buffer_request: int = 0
    """Bytes of a request's body that are gathered before an endpoint is picked; 0 gathers none."""
    own_response: OwnResponse | None = None
    """What responds if no hook does; None for routes with a target."""
    pattern: Pattern | None = None
    """What its path must match; for routes that a plugin chooses."""
    variants: tuple[CompiledRoute, ...] = ()
    """The same route for each of its paths, this one first; empty if it has one path."""
    by_target: NamedTargets | None = None
    """The same route for each upstream that its target may name; None if the target is fixed."""
    path_policy: PathPolicy = DEFAULT_POLICY
    max_body_bytes: int = 0
    """0 is no limit."""
    timeouts: TimeoutsConfig = field(default_factory=TimeoutsConfig)
    retry: RetryPolicy | None = None
    """The route's own; None if its upstream's holds."""

    counts: RouteCounts = field(default_factory=RouteCounts)
    """Of its requests; those of routes beyond ``metrics.max_routes`` share one."""
    sampling: SamplingPolicy | None = None
    """How its traces are sampled; None if as for the gateway, or if there are none."""

    is_direct: bool = field(init=False)
    """Whether nothing but pre-proxy hooks decides once the route is known: there is one target, and a body goes on as
    it comes."""
    has_match_hooks: bool = field(init=False)
    """Whether it would be direct without its route-match hooks; a preflight runs them before it is sent elsewhere."""
    has_hooks: bool = field(init=False)
    """Whether there is anything to do before the upstream."""
    early: EarlyPasses | None = field(init=False)
    """What may let requests pass the hooks before the upstream by their heads alone."""
    is_transparent: bool = field(init=False)
    """Whether its requests go to their one target, and the responses back, without anything that decides, changes or
    shows them: hooks, rewrites, cookies, mirrors, samples of traces, a time for the whole."""
    idle: float = field(init=False)
    """Seconds to wait for the next part of a response's body; infinite if there is no limit."""
    total: float = field(init=False)
    """Seconds for the whole request; 0 is no limit."""
    wait: float = field(init=False)
    """Seconds to wait for a response of ``upstream``; infinite if there is no limit."""

    def __post_init__(self) -> None:
        chain = self.chain
        is_alone = self.upstream is not None and not self.buffer_request
        self.is_direct, self.has_match_hooks = is_alone and not chain.route_match, is_alone and bool(chain.route_match)
        self.has_hooks = bool(chain.pre_proxy or chain.route_match) or chain.reserved_by_route is not None
        self.early = None
        if self.has_hooks and self.upstream is not None and (self.is_direct or self.has_match_hooks):
            from gateway_core.hooks import EarlyPasses  # noqa: PLC0415 - a check, which compiles no route, imports no hooks

            self.early = EarlyPasses.of(chain, self.targets[0].upstream.name)
        # Plain attributes of this class: those of a section of the configuration take three times as long to read.
        self.total = self.timeouts.total
        self.idle = self.timeouts.idle or math.inf
        self.wait = math.inf if self.upstream is None else self.wait_for(self.upstream)
        self.is_transparent = self._find_transparent()

    def _find_transparent(self) -> bool:
        chain, upstream = self.chain, self.upstream
        if upstream is None or len(self.targets) != 1 or upstream.sticky is not None:
            return False
        is_seen = bool(chain.request or chain.attempt or chain.response or chain.log) or self.has_hooks
        target = self.targets[0]
        is_changed = not target.is_plain or target.rewrite.response is not None
        return self.is_direct and not (is_seen or is_changed or self.mirrors or self.total or self.sampling)

    def wait_for(self, upstream: Upstream) -> float:
        """Return the seconds to wait for the response to one attempt."""
        policy = self.retry or upstream.retries
        per_try = policy.settings.per_try_timeout if policy.is_enabled else 0.0
        return min(self.timeouts.response or math.inf, per_try or math.inf)

    def for_path(self, path: str) -> CompiledRoute:
        """Return the route as it is for a match path: what a rewrite does depends on which of its paths matched."""
        for variant in self.variants:
            if variant.pattern is not None and params_of(variant.pattern, path) is not None:
                return variant
        return self

    def take_over(self, request: Request) -> str | None:
        """Give a request that a plugin sends here this route's parameters; return why its path policy refuses it."""
        if self.pattern is not None and (params := params_of(self.pattern, request.path)) is not None:
            request.path_params = params
        return self.path_policy.problem(request.path_flags)

    def target_for(self, upstream: Upstream) -> RouteTarget:
        """Return how requests go to an upstream that a plugin chose, which may be one of the targets."""
        for target in self.targets:
            if target.upstream is upstream:
                return target
        preserves = upstream.settings.preserve_host if self.own.preserve_host is None else self.own.preserve_host
        return RouteTarget(upstream, rewrite=self.own, preserve_host=preserves)

    def pick_target(self, request: Request, now: float) -> RouteTarget:
        """Return the target of a request; only for routes that have one.

        :param now: monotonic seconds.
        """
        return self.targets[0] if self.split is None else self.split.pick(request, now)
