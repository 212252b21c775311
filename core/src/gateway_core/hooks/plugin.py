"""The base class of plugins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, TypeVar

from gateway_core.clock import Clock
from gateway_core.config import ConfigFinding
from gateway_core.hooks.fetch import Upstreams
from gateway_core.hooks.runtime import PluginRuntime
from gateway_core.hooks.shared import Shared
from gateway_core.messages import EarlyHead, EarlyPass, Headers
from gateway_core.metrics import Metrics

ConfigT = TypeVar("ConfigT")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What a plugin instance is given beside its configuration."""

    binding: str
    """The binding's id."""

    route: str | None
    """Id of the route that the binding belongs to; None if it is gateway-wide."""

    clock: Clock
    log: logging.Logger
    metrics: Metrics
    place: str = ""
    """Where the configuration has the binding, such as ``gateway.yaml:41:9``."""

    runtime: PluginRuntime = field(default_factory=PluginRuntime, repr=False)
    """What `Plugin.shared`, `Plugin.upstreams`, `Plugin.spawn`, `Plugin.once` and `Plugin.everywhere` use."""


class Plugin(Generic[ConfigT]):
    """A plugin; one instance serves one binding.

    Subclass it, name it, give it a ``config_model`` (a pydantic model, best a `ConfigModel`) or a ``config_schema`` (a
    JSON Schema 2020-12), and write hooks marked with ``@hookimpl`` (see ``gateway_core.hookspecs``).
    """

    name: ClassVar[str] = ""
    """The name that configurations use; the same as the entry point's."""

    config_model: ClassVar[type[Any] | None] = None
    """Pydantic model of the configuration; ``self.config`` is an instance of it."""

    config_schema: ClassVar[Mapping[str, Any] | None] = None
    """JSON Schema of the configuration if there is no model; ``self.config`` is then the plain mapping."""

    default_on_error: ClassVar[Literal["deny", "continue"]] = "deny"
    """What a failing hook means unless the binding says otherwise: ``deny`` or ``continue``."""

    responses: Literal["entered", "all"] = "entered"
    """Which responses the response hook sees: those to requests whose earlier phases called this binding, or every one
    of its chain: also those to refused heads (gateway-wide bindings), redirects and the gateway's own."""

    provides: frozenset[str] = frozenset()
    """What later bindings may rely on, such as ``identity``; ``response`` says that it responds to every request, so
    that its routes need no target, and that no access control may stand behind it. Of the class, or set in __init__
    where it depends on the configuration; ``gateway check`` makes an instance to read it then, which it does not
    start."""

    access_control: ClassVar[bool | None] = None
    """Whether its bindings decide who may pass, as authentication, address lists and rate limits do: ``gateway check``
    warns where a request can reach the same target without them, and where they fail open. Unless said, a plugin does
    if it ``provides`` an ``identity``."""

    shares_responses: ClassVar[bool] = False
    """Whether a response that one request got may be given to another one, as a cache does: no binding behind it sees
    that request. ``gateway check`` refuses a binding that provides or needs an ``identity`` behind it, and warns of
    other ``access_control``."""

    ignores_own_responses: ClassVar[bool] = False
    """Whether its response and log hooks have nothing to do with what its hooks before the upstream respond with,
    unless one forwarded the request or failed: they are not called then, which spares such a request their price."""

    checks_repeated_bindings: ClassVar[bool] = False
    """Whether `check_bindings` gets two of those whose id and config are the same on several routes, and not one."""

    encodes_responses: ClassVar[bool] = False
    """Whether it puts bodies of responses into a content coding. Response hooks run from the last binding to the first,
    so bindings before it get the coded body: ``gateway check`` warns of one there that needs ``plain-responses``."""

    needs: frozenset[str] = frozenset()
    """What an earlier binding must provide; of the class or set in __init__, like `provides`. The gateway itself
    provides ``hook-times``: `Request.plugin_times` then holds what each hook took, which costs every hook of the
    binding's routes a little, and ``plain-responses``: no binding behind it may encode them."""

    def __init__(self, config: ConfigT, context: PluginContext) -> None:
        self.config = config
        self.context = context
        self.clock = context.clock
        self.log = context.log
        self.metrics = context.metrics
        self._runtime = context.runtime

    idle_hooks: frozenset[str] = frozenset()
    """Names of hooks that this instance does not need with its configuration; they are not called. Set in __init__."""

    reserved_headers: frozenset[str] = frozenset()
    """Names of request fields that only this instance may set, such as those of the caller's identity. Set in __init__.

    The gateway removes them from what a client sent when the binding's chain begins (before the first request hook for
    gateway-wide bindings, when the route is known for a route's own): in whatever case and with whatever separators
    they are written, and whatever becomes of the hooks. So no client gets one through to the upstream in shadow mode,
    in quarantine, or where a hook fails and ``on_error`` is ``continue``."""

    own_cookies: frozenset[str] = frozenset()
    """Names of cookies that only this instance reads; those that begin with one of them and a dot are its own, too. Set
    in __init__.

    The instance removes them from what goes upstream. The gateway does it on every route that does not have the
    binding, since browsers send them there as well, and on its own where it is passed over: in shadow mode, in
    quarantine, by ``when``, or where a hook fails and ``on_error`` is ``continue``. Nor does a fetch of any plugin send
    them, such as one that passes the client's Cookie on to a service before the instance's hook runs."""

    credential_headers: frozenset[str] = frozenset()
    """Names of request fields with credentials, such as an API key: those in which this instance looks for them, and
    those in which it gives them to the upstream. Set in __init__.

    Copies for mirrors come without them unless ``mirror.credentials`` is set, and always without Authorization,
    Cookie, X-API-Key and other fields that are known to have some."""

    credential_parameters: frozenset[str] = frozenset()
    """Names of query parameters with credentials, which are left out of copies like `credential_headers`. Set in
    __init__."""

    early_headers: frozenset[str] | None = None
    """Names of the request fields that `passes_early` looks at in the head as it goes on; None for any. Where an
    earlier binding adds one of them, the hooks are called. Of the class, or set in __init__."""

    def passes_early(self, head: EarlyHead) -> EarlyPass | None:  # noqa: ARG002  # for subclasses
        """Say from a request's head alone what `gateway_route_match` and `gateway_pre_proxy` would do with it.

        For plugins whose hooks let most requests pass, with some fields more at most: where all bindings of a route
        with such hooks say so, none of the hooks is called, and what they are given is not even made. Both ways must
        come to the same. It is asked first, where nothing but the route is to be decided, for plain hooks of bindings
        without timeout, quarantine, ``when`` and shadow mode whose hooks are neither timed nor traced; if it fails, the
        failure is counted and logged, and the hooks are called. ``idle_hooks`` may have its name.

        :returns: what the hooks would do; None to have them called. Response hooks find `EarlyPass.announced` in
            `Request.announced`.
        """
        return None

    def ignores_response(self, status: int, headers: Headers) -> bool:  # noqa: ARG002  # for subclasses
        """Return whether `gateway_response` would do nothing with an upstream's response, whatever the request is.

        Where all response hooks of a route are plain, and each either ignores the response or is announced
        (`Request.announced`), none is called. The result is remembered for responses with the same head: it must not
        depend on anything else. If it fails, the failure is counted and logged, and the hook is called.

        :param headers: the fields that came, and those that earlier response hooks announced; read-only. Date, Via and
            X-Request-Id, which the gateway adds, may be missing.
        """
        return False

    @classmethod
    def check_config(cls, config: Any) -> Iterable[ConfigFinding]:  # noqa: ARG003  # for subclasses
        """Return errors and warnings about a valid configuration that neither schema nor model can express.

        Called by ``gateway check``, at the start and for each reload, in the process that validates: do no I/O beyond
        looking at files that the configuration names, and keep no state. The gateway puts the plugin's name before
        each code (``weak-secret`` of ``auth`` becomes ``auth.weak-secret``), adds the place, and shows errors and
        warnings like its own: errors reject the configuration, warnings do not.

        :param config: what ``self.config`` will be.
        """
        return ()

    @classmethod
    def check_bindings(cls, bindings: Sequence[tuple[str, Any]]) -> Iterable[tuple[int, ConfigFinding]]:  # noqa: ARG003
        """Return errors and warnings about bindings of the plugin that are valid alone, but not beside each other.

        Called like `check_config`, once for a whole configuration that has several such bindings, wherever they stand.
        Bindings of one id and configuration, such as those of a shared plugin set, are one of ``bindings``.

        :param bindings: the id and the configuration (what ``self.config`` will be) of each.
        :returns: findings, each with the index of the binding that it is about; paths start from its configuration.
        """
        return ()

    @classmethod
    def params_of(cls, config: Any) -> Iterable[tuple[tuple[str | int, ...], str]]:  # noqa: ARG003  # for subclasses
        """Return the path parameters without which a configuration makes no sense, each with the place of its name.

        ``gateway check`` reports one that no path and no host of the binding's route captures: an error for a binding
        of a route or target, a warning for a gateway-wide one, if no route at all has it. Leave out what may be missing
        because the configuration says what stands in its place.

        :param config: what ``self.config`` will be.
        :returns: key paths such as ``("request", "set", "X-Tenant")`` and names of parameters.
        """
        return ()

    async def start(self) -> None:
        """Open what the hooks use; awaited before the first request.

        An error rejects the configuration, and `stop` is not called then.
        """

    async def stop(self) -> None:
        """Close what `start` opened; awaited after the last request of the last configuration that uses it."""

    @property
    def shared(self) -> Shared:
        """Values that the instances of this binding share: in all workers, over reloads and restarts of workers."""
        return self._runtime.shared

    @property
    def upstreams(self) -> Upstreams:
        """Sends requests of the plugin's own to upstreams: see `Upstreams.fetch`.

        Names are those of the configuration that the hook's request is served by; in `start` of the one that is being
        prepared; elsewhere of the one in force.
        """
        return self._runtime.upstreams

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine in the background, with no context variables set.

        An exception is logged and counted (``gateway_plugin_task_errors``). Tasks that still run are cancelled before
        `stop`. Call it from `start` or from a hook that is not blocking.

        :raises RuntimeError: the instance was stopped, or this is a thread.
        """
        return self._runtime.spawn(coroutine)

    async def once(self, key: Hashable, factory: Callable[[], Awaitable[T]]) -> T:
        """Return what one run of a factory returns, to all callers that wait for the same key in this instance.

        The first to ask begins it; it has no context variables set, is cancelled when the last one stops waiting, and
        what it raises, all get. Nothing is kept: a later call begins another run.
        """
        return await self._runtime.once(key, factory)

    async def everywhere(self, command: str, **arguments: Any) -> list[Any]:
        """Run a command of this binding in every worker, and return each result, in the order of the workers.

        :raises CommandError: one of them fails; the others may have done their part.
        """
        return await self._runtime.everywhere(command, arguments)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.context.binding!r}>"
