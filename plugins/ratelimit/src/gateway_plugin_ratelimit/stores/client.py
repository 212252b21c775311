"""Connections to Redis, over redis-py, which is imported when the first binding needs it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from gateway_plugin_sdk import GatewayError, Secret

from gateway_plugin_ratelimit.algorithms import FixedWindow
from gateway_plugin_ratelimit.config.redis import RedisConfig
from gateway_plugin_ratelimit.stores.scripts import SCRIPT, SCRIPT_SHA, Call, debit

_DEFAULT_PORT: Final = 6379
_RUN_ID: Final = re.compile(rb"run_id:(\w+)")
_MOST_TRIES: Final = 1024
"""Keys that are tried to find one of a node: a node has a large part of all slots, or none."""


class RedisMissingError(GatewayError):
    """The redis package is not installed."""


class StoreError(GatewayError):
    """The server did not do what it was asked."""


_MODULES: Final = (
    "redis.asyncio", "redis.exceptions", "redis.asyncio.cluster", "redis.asyncio.sentinel", "redis.asyncio.retry",
    "redis.backoff",
)  # fmt: skip


def import_library() -> None:
    """Import everything of redis-py that a client uses; takes up to 400 ms, so not for a thread that serves.

    :raises RedisMissingError: naming the package to install.
    """
    try:
        for name in _MODULES:
            importlib.import_module(name)
    except ImportError as error:
        raise RedisMissingError(
            f"store: redis needs the redis package, which is missing ({error}): "
            "pip install 'gateway-plugin-ratelimit[redis]'"
        ) from None


class RedisClient:
    """One client for a server, a cluster, or servers watched by sentinels. It never repeats a call by itself."""

    __slots__ = ("_is_cluster", "_places", "_prefix", "_redis", "_refusal", "_script_missing", "_sentinels")

    def __init__(self, config: RedisConfig, *, on_restart: Callable[[], None] | None = None) -> None:
        """Prepare; nothing is connected yet.

        :param on_restart: is called when a server that is no cluster turns out to be another one than before.
        :raises RedisMissingError: naming the package to install.
        """
        import_library()
        library = importlib.import_module("redis.asyncio")
        exceptions = importlib.import_module("redis.exceptions")
        self._redis: Any
        self._sentinels: list[Any]
        self._script_missing: type[Exception] = exceptions.NoScriptError
        self._refusal: type[Exception] = exceptions.ResponseError
        self._redis, *self._sentinels = _connect(library, config, on_restart)
        self._is_cluster = config.mode == "cluster"
        self._prefix = config.prefix
        self._places: dict[str, str] = {}

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Run calls of the script in one round trip."""
        replies = await self._pipelined([("EVALSHA", SCRIPT_SHA, call) for call in calls])
        missing = [index for index, reply in enumerate(replies) if isinstance(reply, self._script_missing)]
        if missing:  # the server restarted, or a replica took over: the script goes along once
            repeated = await self._pipelined([("EVAL", SCRIPT, calls[index]) for index in missing])
            for index, reply in zip(missing, repeated, strict=True):
                replies[index] = reply
        return replies

    async def _pipelined(self, commands: Sequence[tuple[str, str, Call]]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for name, script, call in commands:
            pipeline.execute_command(name, script, len(call.keys), *call.keys, call.words)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies

    async def forget(self, members: Sequence[tuple[str, str]]) -> None:
        """Remove members of sorted sets, given as (key, member)."""
        pipeline = self._redis.pipeline(transaction=False)
        for key, member in members:
            pipeline.execute_command("ZREM", key, member)
        await pipeline.execute(raise_on_error=False)

    def is_refusal(self, error: BaseException) -> bool:
        """Say whether an error is the server's response to one call, rather than the lack of one."""
        return isinstance(error, self._refusal)

    def node_of(self, key: str) -> str:
        """Return the name of the node that has a key; empty if there are no nodes, or none is known yet."""
        if not self._is_cluster:
            return ""
        slots = self._redis.nodes_manager.slots_cache.get(self._redis.keyslot(key))
        return str(slots[0].name) if slots else ""

    async def probe(self, name: str = "", *, was_away: bool = False) -> None:
        """Find out whether a server can run the script and write, and make sure that it knows the script.

        :param name: the node to ask; any if it is empty.
        :param was_away: connections may lead to a server that is gone, and a cluster have another order.
        :raises Exception: it cannot.
        """
        if was_away:
            await self._look_anew(name)
        key = self._probe_key(name)
        if key is None:
            return  # the node has no counters any more, so nothing waits for it
        call = debit([key], [FixedWindow(1, 1.0)], [0])
        replies = await self._pipelined([("EVAL", SCRIPT, call)])
        if isinstance(replies[0], Exception):
            raise StoreError(str(replies[0]))

    async def _look_anew(self, name: str) -> None:
        if not self._is_cluster:
            await self._redis.connection_pool.disconnect(inuse_connections=False)
            return
        # Whoever took over the counters of a node that is gone is known by the other nodes.
        await self._redis.nodes_manager.initialize()
        for node in self._redis.get_nodes():
            if not name or node.name == name:
                await node.disconnect_free_connections()

    def _probe_key(self, name: str) -> str | None:
        """Return a key that a node has, or None if there is no such node."""
        if not name:
            return f"{self._prefix}probe"
        key = self._places.get(name)
        if key is None or self.node_of(key) != name:
            tries = (f"{self._prefix}probe{{{number}}}" for number in range(_MOST_TRIES))
            key = next((each for each in tries if self.node_of(each) == name), None)
            if key is not None:
                self._places[name] = key
        return key

    async def aclose(self) -> None:
        """Close the connections."""
        for client in (self._redis, *self._sentinels):
            await client.aclose()


def _connect(library: Any, config: RedisConfig, on_restart: Callable[[], None] | None) -> list[Any]:
    """Return the client to use, and others that are to be closed with it."""
    options = _common_options(config)
    if on_restart is not None and config.mode != "cluster":
        options["redis_connect_func"] = _restart_watcher(
            on_restart, importlib.import_module("redis.exceptions").ResponseError
        )
    if config.mode == "sentinel":
        return _sentinel_master(config, options)
    address = urlsplit(config.url.reveal())
    options |= _credentials(unquote(address.username or "") or None, unquote(address.password or "") or None)
    options |= _credentials(config.username, _revealed(config.password))
    if config.mode == "cluster":
        return [_cluster(library, config, options)]
    # A connection more than batches may use at once: for the probe.
    options["max_connections"] = config.max_connections + 1
    if address.scheme == "unix":
        return [library.Redis(unix_socket_path=address.path, **options)]
    host, port = address.hostname or "127.0.0.1", address.port or _DEFAULT_PORT
    return [library.Redis(host=host, port=port, db=_database(address.path), **options)]


def _restart_watcher(on_restart: Callable[[], None], refusal: type[Exception]) -> Callable[[Any], Awaitable[None]]:
    """Return what is to be done with each new connection: see by the server's id whether it is the one from before.

    A restart between two requests fails none of them, so nothing else tells of it.
    """
    seen = b""

    async def connected(connection: Any) -> None:
        nonlocal seen
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        try:
            reply = await connection.read_response()
        except refusal:  # a user that may not ask
            return
        text = reply.encode() if isinstance(reply, str) else bytes(reply)
        found = _RUN_ID.search(text)
        if found is not None:
            if seen and found[1] != seen:
                on_restart()
            seen = found[1]

    return connected


def _cluster(library: Any, config: RedisConfig, options: Mapping[str, Any]) -> Any:
    address = urlsplit(config.url.reveal())
    module = importlib.import_module("redis.asyncio.cluster")
    hosts = [(address.hostname or "127.0.0.1", address.port or _DEFAULT_PORT), *map(_host_and_port, config.nodes)]
    return library.RedisCluster(
        startup_nodes=[module.ClusterNode(host, port) for host, port in hosts],
        require_full_coverage=False,
        max_connections=config.max_connections + 1,
        **options,
    )


def _sentinel_master(config: RedisConfig, options: Mapping[str, Any]) -> list[Any]:
    module = importlib.import_module("redis.asyncio.sentinel")
    timeouts = {name: options[name] for name in ("socket_timeout", "socket_connect_timeout", "retry")}
    sentinel = module.Sentinel(
        [_host_and_port(node) for node in config.nodes],
        sentinel_kwargs={**timeouts, **_credentials(config.sentinel_username, _revealed(config.sentinel_password))},
    )
    master = sentinel.master_for(
        config.master,
        db=_database(urlsplit(config.url.reveal()).path),
        max_connections=config.max_connections + 1,
        **options,
        **_credentials(config.username, _revealed(config.password)),
    )
    return [master, *sentinel.sentinels]


def _common_options(config: RedisConfig) -> dict[str, Any]:
    retry = importlib.import_module("redis.asyncio.retry")
    backoff = importlib.import_module("redis.backoff")
    options: dict[str, Any] = {
        # Whoever waits has a shorter deadline of their own; this one is for the connection.
        "socket_timeout": max(config.timeout, config.connect_timeout),
        "socket_connect_timeout": config.connect_timeout,
        "retry": retry.Retry(backoff.NoBackoff(), 0),
    }
    tls = config.tls
    if tls is not None or config.url.reveal().startswith(("rediss:", "valkeys:")):
        options["ssl"] = True
        if tls is not None:
            options |= {
                "ssl_ca_certs": tls.ca and str(tls.ca),
                "ssl_certfile": tls.cert and str(tls.cert),
                "ssl_keyfile": tls.key and str(tls.key),
                "ssl_cert_reqs": "required" if tls.verify else "none",
                "ssl_check_hostname": tls.verify,
            }
    return options


def _credentials(username: str | None, password: str | None) -> dict[str, str]:
    pairs = (("username", username), ("password", password))
    return {name: value for name, value in pairs if value is not None}


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


def _host_and_port(node: str) -> tuple[str, int]:
    host, _, port = node.rpartition(":")
    return host.strip("[]"), int(port)


def _database(path: str) -> int:
    number = path.strip("/")
    return int(number) if number.isdigit() else 0
