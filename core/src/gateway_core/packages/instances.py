"""Plugin instances: made with a validated configuration, kept over reloads, started and stopped."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from gateway_core.clock import Clock
from gateway_core.config import (
    BindingConfig,
    ConfigError,
    ConfigProblem,
    Place,
    QuarantineConfig,
    config_files,
    format_path,
    names_files,
)
from gateway_core.events import PLUGIN_START_FAILED, PLUGIN_STOP_FAILED, emit
from gateway_core.hooks.awaiting import awaited
from gateway_core.hooks.binding import Binding, BindingKey, binding_path
from gateway_core.hooks.failure_log import Faults, HookTimeoutError, describe
from gateway_core.hooks.plugin import Plugin, PluginContext
from gateway_core.hooks.quarantine import Quarantine, QuarantinePolicy
from gateway_core.hooks.runtime import PluginRuntime, PluginServices
from gateway_core.hooks.when import compile_when
from gateway_core.leases import Lease, Leases
from gateway_core.metrics import Metrics
from gateway_core.packages.registry import PluginRegistry, PluginUnavailableError
from gateway_core.packages.schemas import config_check, make_config

_STOP_TIMEOUT: Final = 10.0
_AT_ONCE: Final = 100
"""Instances that are started, or given back, in one turn of the loop."""


class Instance:
    """One plugin instance and what belongs to it for as long as it lives."""

    __slots__ = ("_runtime", "_started", "faults", "plugin", "quarantine")

    def __init__(self, plugin: Plugin[Any], runtime: PluginRuntime) -> None:
        self.plugin = plugin
        self._runtime = runtime
        self.faults = Faults()
        self.quarantine: Quarantine | None = None
        self._started = False

    def quarantine_by(self, policy: QuarantinePolicy | None) -> Quarantine | None:
        """Return the quarantine of this policy; its state survives as long as the policy is the same."""
        if policy is None:
            return None
        if self.quarantine is None or self.quarantine.policy != policy:
            self.quarantine = Quarantine(policy)
        return self.quarantine

    async def start(self, timeout: float) -> None:  # noqa: ASYNC109 - a policy's value
        """Await the plugin's ``start()`` once.

        :raises HookTimeoutError: it takes longer. Whatever it raises itself passes through.
        """
        if self._started:
            return
        if type(self.plugin).start is not Plugin.start:
            try:
                await awaited(self.plugin.start(), timeout)
            except BaseException:
                await self._runtime.aclose()
                raise
        self._started = True

    @property
    def has_end(self) -> bool:
        """Whether anything is to be awaited when it ends; most of thousands of instances have nothing."""
        return type(self.plugin).stop is not Plugin.stop or self._runtime.is_used

    async def aclose(self) -> None:
        """End its background work, then await ``stop()`` if it was started; a failure is logged, never raised."""
        await self._runtime.aclose(_STOP_TIMEOUT)
        started, self._started = self._started, False
        if not started or type(self.plugin).stop is Plugin.stop:
            return
        try:
            await awaited(self.plugin.stop(), _STOP_TIMEOUT)
        except HookTimeoutError:
            reason = f"it did not stop within {_STOP_TIMEOUT:g}s"
            emit(
                PLUGIN_STOP_FAILED,
                f"{self.plugin!r}: {reason}",
                logger=self.plugin.log,
                plugin=self.plugin.name,
                reason=reason,
            )
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's own code
            reason = describe(error)
            text = f"{self.plugin!r} failed to stop: {reason}"
            emit(PLUGIN_STOP_FAILED, text, error=error, logger=self.plugin.log, plugin=self.plugin.name, reason=reason)


InstanceLeases = Leases[BindingKey, Instance]


class Bindings:
    """The bindings of one snapshot: made, started, and given back together.

    Share ``leases`` between snapshots: a binding whose key did not change gets the instance that runs already.
    """

    def __init__(
        self,
        registry: PluginRegistry,
        leases: InstanceLeases,
        *,
        clock: Clock,
        metrics: Metrics,
        start_timeout: float = 30.0,
        services: PluginServices | None = None,
    ) -> None:
        """Begin with none.

        :param services: what instances share values and reach other workers by; those of a lone process unless given.
        """
        self._registry = registry
        self._leases = leases
        self._clock = clock
        self._metrics = metrics
        self._start_timeout = start_timeout
        self._services = services or PluginServices()
        self._held: list[tuple[Lease[Instance], Place, str]] = []
        self.bound: list[Binding] = []
        """All of them, in the order in which they were bound."""
        self.made = 0
        """How many bindings got a new instance."""
        self._plugins: dict[str, tuple[type[Plugin[Any]], str]] = {}

    @property
    def kept(self) -> int:
        """How many bindings got an instance that ran before."""
        return len(self._held) - self.made

    def bind(
        self,
        config: BindingConfig,
        *,
        route: str | None,
        upstream: str | None = None,
        is_after: bool = False,
        place: Place,
        key_path: str,
    ) -> Binding:
        """Make a binding of an enabled entry of the configuration.

        :param route: id of the route; None for a gateway-wide binding.
        :param upstream: name of the upstream that it belongs to, or that a target of the route names.
        :param is_after: whether it runs behind the bindings of routes and targets.
        :raises ConfigError: the plugin is missing, refuses its configuration, or fails in its constructor.
        """
        found = self._plugins.get(config.name)
        if found is None:
            try:
                found = self._registry.plugin(config.name), self._registry.version(config.name)
            except PluginUnavailableError as error:
                raise _problem(place, key_path, str(error), "plugin.not-loadable") from error
            self._plugins[config.name] = found
        plugin, version = found
        digest = _digest(config.config) + _files_digest(plugin, config.config)
        key = BindingKey(config.name, version, digest, route, config.id, upstream)
        path = binding_path(config.id, route=route, upstream=upstream)
        lease = self._leases.acquire(key, partial(self._make, plugin, config, route, path, place, key_path))
        self._held.append((lease, place, key_path))
        self.made += lease.is_new
        instance, on_error = lease.value, config.on_error or plugin.default_on_error
        binding = Binding(
            id=config.id,
            plugin=config.name,
            version=version,
            route=route,
            on_error=on_error,
            on_timeout=config.on_timeout or on_error,
            timeout=config.timeout or None,
            is_shadow=config.mode == "shadow",
            instance=instance.plugin,
            faults=instance.faults,
            quarantine=instance.quarantine_by(_policy(config.quarantine)),
            place=str(place),
            path=path,
            lease=lease,
            config=config.config,
            is_after=is_after,
            upstream=upstream,
            when=compile_when(config.when),
        )
        self.bound.append(binding)
        return binding

    def _make(
        self,
        plugin: type[Plugin[Any]],
        config: BindingConfig,
        route: str | None,
        path: str,
        place: Place,
        key_path: str,
    ) -> Instance:
        try:
            settings = make_config(plugin, config.config)
        except ValidationError as error:
            description = self._registry.describe(config.name)
            secrets = frozenset[str]() if description is None else description.secret_paths
            raise ConfigError(
                ConfigProblem(
                    place,
                    f"{key_path}.{format_path(('config', *finding.path))}",
                    finding.message,
                    code=finding.code,
                    remedy=finding.remedy,
                    reporter=self._label(config),
                )
                for finding in config_check(plugin, secrets)(config.config)
            ) from error
        except BaseException as error:
            text = f"{self._label(config)} cannot read it: {describe(error)}"
            raise _problem(place, f"{key_path}.config", text, "plugin.config-failed") from error
        log = logging.getLogger(f"gateway.plugin.{config.name}")
        runtime = PluginRuntime(
            config.name,
            path,
            services=self._services,
            metrics=self._metrics,
            log=log,
        )
        context = PluginContext(
            binding=config.id,
            route=route,
            clock=self._clock,
            log=log,
            metrics=self._metrics,
            place=str(place),
            runtime=runtime,
        )
        try:
            return Instance(plugin(settings, context), runtime)
        except BaseException as error:
            text = f"{self._label(config)} cannot be made: {describe(error)}"
            raise _problem(place, key_path, text, "plugin.start-failed") from error

    def _label(self, config: BindingConfig) -> str:
        return f"{config.name} {self._registry.version(config.name)}".rstrip()

    async def start(self) -> None:
        """Start the new instances, all at once.

        :raises ConfigError: with every one that failed or took too long; close this object then.
        """
        waiting = []
        for number, each in enumerate(self._held, 1):
            lease = each[0]
            if lease.is_new and type(lease.value.plugin).start is not Plugin.start:
                waiting.append(each)
            elif lease.is_new:
                await lease.value.start(self._start_timeout)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        results = await asyncio.gather(*(self._start_one(*each) for each in waiting))
        problems = [problem for problem in results if problem is not None]
        if problems:
            raise ConfigError(problems)

    async def _start_one(self, lease: Lease[Instance], place: Place, key_path: str) -> ConfigProblem | None:
        plugin = lease.value.plugin
        try:
            await lease.value.start(self._start_timeout)
        except HookTimeoutError:
            message = f"{plugin.name} did not start within {self._start_timeout:g}s"
            return ConfigProblem(place, key_path, message, code="plugin.start-failed")
        except OSError as error:
            # A file, a port, a server: it says what is missing, and a traceback would hide that.
            message = f"{plugin.name} failed to start: {describe(error)}"
            return ConfigProblem(place, key_path, message, code="plugin.start-failed")
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's own code
            message = f"{plugin.name} failed to start: {describe(error)}"
            emit(
                PLUGIN_START_FAILED, message, error=error, logger=plugin.log, plugin=plugin.name, reason=describe(error)
            )
            return ConfigProblem(place, key_path, message, code="plugin.start-failed")
        return None

    async def aclose(self) -> None:
        """Give the instances back; those that are not held elsewhere are stopped."""
        held, self._held = self._held, []
        held.reverse()
        unused: list[Instance] = []
        while held:
            instance = held.pop()[0].release()
            if instance is not None and instance.has_end:
                unused.append(instance)
            if len(held) % _AT_ONCE == 0:
                await asyncio.sleep(0)
        await asyncio.gather(*(instance.aclose() for instance in unused))


def _policy(config: QuarantineConfig | None) -> QuarantinePolicy | None:
    return None if config is None else QuarantinePolicy(config.failures, config.window, config.open_for, config.clients)


def _as_json(value: object) -> object:
    """Return what JSON has for a value that it does not know: other mappings and sequences than its own."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Iterable) else repr(value)


_encode = json.JSONEncoder(sort_keys=True, default=_as_json).encode


def _digest(config: Mapping[str, Any]) -> str:
    return hashlib.sha256(_encode(config).encode("utf-8", "surrogatepass")).hexdigest()


def _files_digest(plugin: type[Plugin[Any]], config: Mapping[str, Any]) -> str:
    """Return a digest of the files that a configuration names; empty if its plugin names none.

    A file that cannot be read has a digest as well, so that a new instance is made, which says what is wrong.
    """
    model: type[BaseModel] | None = plugin.config_model
    if model is None or not names_files(model):
        return ""
    digest = hashlib.sha256()
    try:
        for file in config_files(make_config(plugin, config)):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    except Exception as error:  # noqa: BLE001 - a plugin's own validators; making the instance fails alike
        digest.update(repr(error).encode())
    return f"-{digest.hexdigest()}"


def _problem(place: Place, key_path: str, message: str, code: str) -> ConfigError:
    return ConfigError([ConfigProblem(place, key_path, message, code=code)])
