"""From a valid configuration to a snapshot, beside the one in force and without holding up its requests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway_core.config import (
    ConfigError,
    ConfigProblem,
    GatewayConfig,
    LoadedConfig,
    MirrorConfig,
    RouteConfig,
    UpstreamConfig,
    is_url,
)
from gateway_core.config.address import TargetName, target_name
from gateway_core.errors import GatewayError
from gateway_core.hooks import NO_HOOKS, Chain, UpstreamScope, current_scope
from gateway_core.hooks.credentials import Credentials
from gateway_core.messages import RouteInfo
from gateway_core.metrics.catalogue import OTHER
from gateway_core.metrics.counts import RouteCounts
from gateway_core.observe.tracing import OpenTracing
from gateway_core.observe.tracing.settings import route_policy
from gateway_core.packages import Bindings
from gateway_core.routing import Pattern, RuleError, rule_pattern
from gateway_core.snapshot.chains import build_chains
from gateway_core.snapshot.environment import Environment
from gateway_core.snapshot.listeners import (
    DEFAULT_LISTENER,
    CompiledListener,
    ListenerRoutes,
    document_trust,
    listener_tables,
    listener_trust,
)
from gateway_core.snapshot.own_response import own_response_of
from gateway_core.snapshot.route import (
    DEFAULT_TIMEOUTS,
    CompiledRoute,
    Mirror,
    NamedTargets,
    RequestRewrite,
    RouteTarget,
    arrival_policy_of,
    path_policy,
    request_rewrite,
    route_rules,
    sent_path_of,
    timeouts_of,
)
from gateway_core.snapshot.snapshot import Snapshot
from gateway_core.snapshot.target_split import TargetSplit
from gateway_core.snapshot.tls_files import upstream_tls_problems
from gateway_core.tasks import Yielder
from gateway_core.upstreams.retry import RetryPolicy
from gateway_core.upstreams.runtime import LiveUpstream, config_for_url
from gateway_core.upstreams.transport import TlsSettings, make_tls_context, unusable, with_digest
from gateway_core.upstreams.upstream import Upstream

_RELEASED_AT_ONCE: Final = 50
"""Routes whose counts, and upstreams that are given back in one turn of the loop: the counts of 10,000 took it 10 to
15 ms, for which requests waited."""

DISCOVERY_WAIT = 5.0
"""Seconds for which a new snapshot waits for the first result of its discoveries; later ones come while it serves."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A snapshot that is ready to be put in force."""

    snapshot: Snapshot
    bindings_made: int
    bindings_kept: int


async def compile_snapshot(loaded: LoadedConfig, environment: Environment) -> Compiled:
    """Compile a configuration and start its new bindings.

    :raises ConfigError: something in it cannot be made or started; nothing of it is left running then.
    """
    compiler = _Compiler(loaded, environment)
    try:
        return await compiler.compile()
    except BaseException:
        await asyncio.shield(compiler.aclose())
        raise


class _Shared(NamedTuple):
    """What a route has whichever of its paths matched."""

    chain: Chain
    mirrors: tuple[Mirror, ...]
    retry: RetryPolicy | None
    counts: RouteCounts
    key_path: str


class _Compiler:
    def __init__(self, loaded: LoadedConfig, environment: Environment) -> None:
        self.loaded = loaded
        self.config: GatewayConfig = loaded.config
        self.environment = environment
        self.yielder = Yielder(environment.clock)
        self.bindings: Bindings | None = None
        """None where nothing is bound and the core has no hooks of its own."""
        self.global_chain = NO_HOOKS
        self.live: dict[str, LiveUpstream] = {}
        self.configured: dict[str, UpstreamConfig] = {}
        self.scope = UpstreamScope(self._open_url)
        self.chain_of: dict[str, Chain] = {}
        """The chains of routes that are not compiled yet, by their ids."""
        self.tracing: OpenTracing | None = None
        self.counted: list[tuple[str, str]] = []
        """The routes so far, and what each is counted by."""

    async def aclose(self) -> None:
        """Give back what was made so far."""
        while self.counted:
            self.environment.metrics.release_route(*self.counted.pop())
            if len(self.counted) % _RELEASED_AT_ONCE == 0:
                await asyncio.sleep(0)
        if self.bindings is not None:
            await self.bindings.aclose()
        await self.scope.aclose()
        while self.live:
            await self.live.popitem()[1].aclose()
            if len(self.live) % _RELEASED_AT_ONCE == 0:
                await asyncio.sleep(0)
        if self.tracing is not None:
            await self.tracing.aclose()

    async def compile(self) -> Compiled:
        await self._open_upstreams()
        trust = document_trust(self.config)
        self.scope.name_via(trust.via)
        on_listeners, own_policies, has_pages = list[RouteConfig](), list[RouteConfig](), bool(self.config.error_pages)
        has_hooks = bool(self.config.plugins) or any(each.plugins for each in self.config.upstreams)
        async for part in self.yielder.parts(self.config.routes):
            on_listeners += [route for route in part if route.listeners]
            own_policies += [route for route in part if route.path_policy is not None]
            has_pages = has_pages or any(route.error_pages for route in part)
            has_hooks = has_hooks or any(route.binds_plugins for route in part)
        if has_hooks or has_pages or self.config.server_timing:
            await self._build_chains(has_pages=has_pages)
        tables: ListenerRoutes[CompiledRoute] = ListenerRoutes((*self.config.listen, DEFAULT_LISTENER), on_listeners)
        routes: dict[str, CompiledRoute] = {}
        made_of: list[object] = [*self.loaded.places.values(), *self.config.upstreams, *self.config.routes]
        for index, config in enumerate(self.config.routes):
            if not config.enabled:
                continue
            key_path = f"routes[{index}]"
            try:
                rules = route_rules(config, index, None, self.config.path_policy)
                patterns = [rule_pattern(rule) for rule in rules]
                variants = self._route(config, key_path, patterns)
                for rule, variant, pattern in zip(rules, variants, patterns, strict=True):
                    made_of.append(made := rule.carrying(variant))
                    tables.add(config, made, pattern)
            except RuleError as error:
                raise self._problem(key_path, error.reason, error.code, error.remedy) from error
            routes[config.id] = variants[0]
            await self.yielder.checkpoint()
        # Before the bindings start: they may send requests to these upstreams.
        await asyncio.gather(*[each.wait_for_endpoints(DISCOVERY_WAIT) for each in self.live.values() if each.feed])
        self.scope.upstreams = {name: live.upstream for name, live in self.live.items()}
        if self.bindings is not None:
            await self._start(self.bindings)
        snapshot = Snapshot(
            version=self.loaded.version,
            config=self.config,
            listeners=listener_tables(
                self.config.listen,
                lambda each: CompiledListener(each, listener_trust(self.config, each, trust), tables.router_for(each)),
            ),
            fallback=CompiledListener(DEFAULT_LISTENER, trust, tables.router_for(DEFAULT_LISTENER)),
            global_chain=self.global_chain,
            scope=self.scope,
            routes=routes,
            path_policy=arrival_policy_of(self.config, own_policies),
            close=self.aclose,
            made_of=made_of,
            bindings=[] if self.bindings is None else self.bindings.bound,
            tracer=None if self.tracing is None else self.tracing.tracer,
        )
        snapshot.parts = self.loaded.parts
        # The snapshot is closed by this object: what it would keep until then would be freed at one blow.
        del self.loaded, self.config
        return Compiled(snapshot, *((0, 0) if self.bindings is None else (self.bindings.made, self.bindings.kept)))

    async def _start(self, bindings: Bindings) -> None:
        token = current_scope.set(self.scope)  # their tasks inherit it
        try:
            await bindings.start()
        finally:
            current_scope.reset(token)
        await self.yielder.checkpoint()

    async def _build_chains(self, *, has_pages: bool) -> None:
        environment = self.environment
        self.bindings = Bindings(
            environment.registry,
            environment.instances,
            clock=environment.clock,
            metrics=environment.metrics,
            services=environment.services,
        )
        chains, self.chain_of = await build_chains(
            self.loaded, environment, self.bindings, self.tracing, self.yielder, has_pages=has_pages
        )
        self.global_chain = chains.global_chain
        self.scope.own_cookies = chains.keep_cookies(environment.clock, environment.metrics)
        self.scope.attempt_hooks = {
            config.name: chains.attempt_hooks_for(config.name, config.plugins, f"upstreams[{index}]")
            for index, config in enumerate(self.config.upstreams)
            if config.plugins
        }

    async def _open_tracing(self) -> None:
        config, tracing = self.config.tracing, self.environment.tracing
        if config is not None and tracing is not None:
            try:
                self.tracing = await tracing.open(config)
            except GatewayError as error:
                raise self._problem("tracing.otlp", str(error), "tracing.unusable") from error

    def _problem(self, key_path: str, message: str, code: str, remedy: str = "") -> ConfigError:
        place = self.loaded.place_of(key_path)
        return ConfigError([ConfigProblem(place, key_path, message, code=code, remedy=remedy)])

    # -- upstreams

    async def _open_upstreams(self) -> None:
        await self._open_tracing()
        for index, config in enumerate(self.config.upstreams):
            tls = await self._read_tls(config, f"upstreams[{index}].tls")
            self._open(config, f"upstreams[{index}]", tls)
            self.configured[config.name] = config
            await self.yielder.checkpoint()

    async def _read_tls(self, config: UpstreamConfig, key_path: str) -> TlsSettings | None:
        """Find out now, rather than with the first request, whether the files of an upstream's TLS can be used."""
        if not config.tls.files:
            return None
        settings = TlsSettings(config.tls)
        try:
            # First the digest: files that are replaced in between make a reload of their own.
            settings = await asyncio.to_thread(with_digest, settings)
            await asyncio.to_thread(make_tls_context, settings)
        except (OSError, ssl.SSLError) as error:
            found = await asyncio.to_thread(lambda: list(upstream_tls_problems(config, key_path, self.loaded.place_of)))
            # Files that can be used now could not a moment ago.
            reason, remedy = unusable(settings, error)
            raise (ConfigError(found) if found else self._problem(key_path, reason, "tls.unusable", remedy)) from error
        return settings

    def _open(self, config: UpstreamConfig, key_path: str, tls: TlsSettings | None = None) -> Upstream:
        try:
            live = self.environment.upstreams.open(config, tls=tls)
        except (ValueError, OSError, ssl.SSLError) as error:
            raise self._problem(key_path, str(error), "upstream.unusable") from error
        self.live[config.name] = live
        return live.upstream

    def _open_url(self, url: str) -> LiveUpstream:
        return self.environment.upstreams.open(config_for_url(url))

    def _upstream(self, target: str, key_path: str) -> Upstream:
        """Return the upstream that a target names; one with a single endpoint if the target is a URL."""
        live = self.live.get(target)
        if live is not None:
            return live.upstream
        if not is_url(target):
            raise self._problem(key_path, f"there is no upstream {target!r}", "upstream.unknown")
        return self._open(config_for_url(target), key_path)

    # -- routes

    def _route(self, config: RouteConfig, key_path: str, patterns: Sequence[Pattern]) -> list[CompiledRoute]:
        """Return a route for each of its paths: what it makes of the path of a request depends on which one matched."""
        chain = self.chain_of.pop(config.id, NO_HOOKS)
        shared = _Shared(
            chain,
            tuple([self._mirror(each, chain, key_path) for each in config.mirror]),
            None if config.retries is None else RetryPolicy(config.retries),
            self._counts(config.id, len(self.counted)),
            key_path,
        )
        name, variants = self._target_name(config), []
        for pattern in patterns:
            if name is None:
                variants.append(self._variant(config, pattern, shared))
                continue
            # The route itself has no target: what names none gets 404.
            variant = self._variant(config.model_copy(update={"target": None}), pattern, shared)
            chosen = {
                each: self._variant(config.model_copy(update={"target": each}), pattern, shared)
                for each in name.among(self.configured)
            }
            variant.by_target = NamedTargets(name, chosen)
            variants.append(variant)
        if len(variants) > 1:
            for variant in variants:
                variant.variants = tuple(variants)
        return variants

    def _variant(self, config: RouteConfig, pattern: Pattern, shared: _Shared) -> CompiledRoute:
        """Return a route for one of its paths, and one of the upstreams that its target may name."""
        policy, limit = path_policy(self.config.path_policy, config), config.max_body_bytes
        own = request_rewrite(config, None, pattern)
        targets = self._targets(config, own, pattern, shared.key_path)
        # Several targets share the timeouts of the first: they are the route's when it has its own.
        configured = self.configured.get(targets[0].upstream.name) if targets else None
        return CompiledRoute(
            info=RouteInfo(config.id, pattern.text, config.description, sent_path_of(own.path, policy)),
            chain=shared.chain,
            upstream=None if config.target is None else targets[0].upstream,
            targets=targets,
            split=self._split(config, targets),
            mirrors=shared.mirrors,
            own=own,
            buffer_request=config.buffer_request or 0,
            own_response=None if config.sends_upstream else own_response_of(config, pattern, policy),
            pattern=pattern,
            path_policy=policy,
            max_body_bytes=self.config.limits.max_body_bytes if limit is None else limit,
            timeouts=timeouts_of(DEFAULT_TIMEOUTS if configured is None else configured.timeouts, config.timeouts),
            retry=shared.retry,
            counts=shared.counts,
            sampling=None if self.tracing is None else route_policy(self.tracing.tracer.policy, config.tracing),
        )

    def _target_name(self, config: RouteConfig) -> TargetName | None:
        """Return what names a route's target by its parameters; None if it is fixed."""
        target = config.target
        is_fixed = target is None or target in self.configured or is_url(target)
        return None if target is None or is_fixed else target_name(target)

    def _counts(self, route: str, number: int) -> RouteCounts:
        """Return where a route is counted: the first ones each for themselves, the same in every worker."""
        key = route if number < self.config.metrics.max_routes else OTHER
        self.counted.append((route, key))
        return self.environment.metrics.acquire_route(route, key)

    def _targets(
        self, config: RouteConfig, own: RequestRewrite, pattern: Pattern, key_path: str
    ) -> tuple[RouteTarget, ...]:
        """Return the targets of a route.

        :param own: how requests are sent to those without a setting of their own.
        """
        if config.target is not None:
            return (self._target(config, config.target, own, key_path),)
        targets = []
        for each in config.targets:
            rewrite = own if each.rewrite is None else request_rewrite(config, each.rewrite, pattern)
            targets.append(self._target(config, each.target, rewrite, key_path, each.weight, is_backup=each.backup))
        return tuple(targets)

    def _target(
        self,
        config: RouteConfig,
        name: str,
        rewrite: RequestRewrite,
        key_path: str,
        weight: int = 1,
        *,
        is_backup: bool = False,
    ) -> RouteTarget:
        upstream = self._upstream(name, key_path)
        preserves = upstream.settings.preserve_host if config.preserve_host is None else config.preserve_host
        return RouteTarget(upstream, weight, is_backup, rewrite, preserves)

    def _split(self, config: RouteConfig, targets: tuple[RouteTarget, ...]) -> TargetSplit[RouteTarget] | None:
        if not config.targets:
            return None
        return TargetSplit(
            targets,
            hash_on=config.hash_on,
            sticky_cookie=config.sticky_cookie,
            secret=self.environment.upstreams.sticky_secret(config.id),
        )

    def _mirror(self, config: MirrorConfig, chain: Chain, key_path: str) -> Mirror:
        configured = self.configured.get(config.target)
        own = DEFAULT_TIMEOUTS if configured is None else configured.timeouts
        hooks = self.scope.attempt_hooks.get(config.target, ())
        bindings = [each for part in chain.variants for each in part.bindings]
        left_out = None if config.credentials else Credentials.of(bindings)
        return Mirror(self._upstream(config.target, key_path), config.percent, left_out, own, hooks)
