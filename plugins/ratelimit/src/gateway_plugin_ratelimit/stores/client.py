"""Connections to Redis, over redis-py, which is imported when the first binding needs it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from gateway_plugin_sdk import GatewayError

from gateway_plugin_ratelimit.algorithms import FixedWindow
from gateway_plugin_ratelimit.config.redis import RedisConfig
from gateway_plugin_ratelimit.stores.scripts import SCRIPT, SCRIPT_SHA, Call, debit

_DEFAULT_PORT: Final = 6379


class RedisMissingError(GatewayError):
    """The redis package is not installed."""


class StoreError(GatewayError):
    """The server did not do what it was asked."""


class RedisClient:
    """One client for a server, a cluster, or servers watched by sentinels. It never repeats a call by itself."""

    __slots__ = ("_probe", "_redis", "_script_missing", "_sentinels")

    def __init__(self, config: RedisConfig) -> None:
        """Prepare; nothing is connected yet.

        :raises RedisMissingError: naming the package to install.
        """
        try:
            library = importlib.import_module("redis.asyncio")
            exceptions = importlib.import_module("redis.exceptions")
        except ImportError as error:
            raise RedisMissingError(
                f"store: redis needs the redis package, which is missing ({error}): "
                "pip install 'gateway-plugin-ratelimit[redis]'"
            ) from None
        self._redis: Any
        self._sentinels: list[Any]
        self._script_missing: type[Exception] = exceptions.NoScriptError
        self._redis, *self._sentinels = _connect(library, config)
        self._probe = debit([f"{config.prefix}probe"], [FixedWindow(1, 1.0)], [0])

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

    async def probe(self) -> None:
        """Find out whether the server can run the script and write, and make sure that it knows the script.

        :raises Exception: it cannot.
        """
        replies = await self._pipelined([("EVAL", SCRIPT, self._probe)])
        if isinstance(replies[0], Exception):
            raise StoreError(str(replies[0]))

    async def drop_idle(self) -> None:
        """Close connections that nobody uses: the server that they led to may be gone."""
        nodes = getattr(self._redis, "get_nodes", None)
        if nodes is None:
            await self._redis.connection_pool.disconnect(inuse_connections=False)
            return
        for node in nodes():
            await node.disconnect_free_connections()

    async def aclose(self) -> None:
        """Close the connections."""
        for client in (self._redis, *self._sentinels):
            await client.aclose()


def _connect(library: Any, config: RedisConfig) -> list[Any]:
    """Return the client to use, and others that are to be closed with it."""
    options = _common_options(config)
    if config.mode == "sentinel":
        return _sentinel_master(config, options)
    address = urlsplit(config.url)
    options |= _credentials(unquote(address.username or "") or None, unquote(address.password or "") or None)
    options |= _credentials(config.username, config.password)
    if config.mode == "cluster":
        return [_cluster(library, config, options)]
    # A connection more than batches may use at once: for the probe.
    options["max_connections"] = config.max_connections + 1
    if address.scheme == "unix":
        return [library.Redis(unix_socket_path=address.path, **options)]
    host, port = address.hostname or "127.0.0.1", address.port or _DEFAULT_PORT
    return [library.Redis(host=host, port=port, db=_database(address.path), **options)]


def _cluster(library: Any, config: RedisConfig, options: Mapping[str, Any]) -> Any:
    address = urlsplit(config.url)
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
        sentinel_kwargs={**timeouts, **_credentials(config.sentinel_username, config.sentinel_password)},
    )
    master = sentinel.master_for(
        config.master,
        db=_database(urlsplit(config.url).path),
        max_connections=config.max_connections + 1,
        **options,
        **_credentials(config.username, config.password),
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
    if tls is not None or config.url.startswith(("rediss:", "valkeys:")):
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


def _host_and_port(node: str) -> tuple[str, int]:
    host, _, port = node.rpartition(":")
    return host.strip("[]"), int(port)


def _database(path: str) -> int:
    number = path.strip("/")
    return int(number) if number.isdigit() else 0
