"""Where sessions keep what others must know too: in the gateway's own store, or on a Valkey server that all share."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from gateway_plugin_sdk import GatewayError

from gateway_plugin_oidc.config import ValkeyOptions


class StoreAwayError(GatewayError):
    """The server that has the sessions does not respond: whether a session still holds is not known."""


class Values(Protocol):
    """Bytes by key; what has a ``ttl`` is gone after so many seconds."""

    async def get(self, key: str) -> bytes | None: ...
    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None: ...
    async def add(self, key: str, value: bytes, ttl: float | None = None) -> bool: ...
    async def delete(self, key: str) -> None: ...


_MODULES: Final = ("redis.asyncio", "redis.asyncio.retry", "redis.backoff", "redis.exceptions")


class ValkeyValues:
    """Values on a server. No command is repeated: what failed may have been done."""

    def __init__(self, options: ValkeyOptions) -> None:
        self._options = options
        self._prefix = options.prefix
        self._client: Any = None
        self._free = asyncio.Semaphore(options.max_connections)
        self._failures: tuple[type[BaseException], ...] = (OSError, TimeoutError)

    async def start(self) -> None:
        """Import the library and prepare; connections are made when they are needed.

        :raises GatewayError: the library is not installed.
        """
        try:
            await asyncio.to_thread(lambda: [importlib.import_module(name) for name in _MODULES])
        except ImportError as error:
            raise GatewayError(
                f"valkey needs the redis package, which is missing ({error}): pip install 'gateway-plugin-oidc[valkey]'"
            ) from None
        errors = importlib.import_module("redis.exceptions")
        self._failures = (OSError, TimeoutError, errors.RedisError)
        self._client = self._connect()

    def _connect(self) -> Any:
        options = self._options
        address = urlsplit(options.url.reveal())
        password = options.password.reveal() if options.password is not None else unquote(address.password or "")
        retry = importlib.import_module("redis.asyncio.retry")
        settings: dict[str, Any] = {
            "username": options.username or unquote(address.username or "") or None,
            "password": password or None,
            "socket_timeout": options.timeout,
            "socket_connect_timeout": options.timeout,
            "max_connections": options.max_connections,
            "retry": retry.Retry(importlib.import_module("redis.backoff").NoBackoff(), 0),
        }
        if address.scheme in {"rediss", "valkeys"} or options.tls is not None:
            # Said, since versions of the library before 6 do not compare the name by themselves.
            settings |= {"ssl": True, "ssl_cert_reqs": "required", "ssl_check_hostname": True}
            if options.tls is not None:
                files = {
                    "ssl_ca_certs": options.tls.ca,
                    "ssl_certfile": options.tls.cert,
                    "ssl_keyfile": options.tls.key,
                }
                settings |= {name: str(file) for name, file in files.items() if file is not None}
        library = importlib.import_module("redis.asyncio")
        if address.scheme == "unix":
            return library.Redis(unix_socket_path=address.path, **settings)
        database = address.path.strip("/")
        return library.Redis(
            host=address.hostname or "127.0.0.1",
            port=address.port or 6379,
            db=int(database) if database.isdigit() else 0,
            **settings,
        )

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _run(self, *command: object) -> Any:
        try:
            async with self._free:
                return await self._client.execute_command(*command)
        except self._failures as error:
            raise StoreAwayError(f"valkey: {type(error).__name__}: {error}") from error

    async def get(self, key: str) -> bytes | None:
        found = await self._run("GET", self._prefix + key)
        return bytes(found) if found is not None else None

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        await self._run("SET", self._prefix + key, value, *_lifetime(ttl))

    async def add(self, key: str, value: bytes, ttl: float | None = None) -> bool:
        return bool(await self._run("SET", self._prefix + key, value, "NX", *_lifetime(ttl)))

    async def delete(self, key: str) -> None:
        await self._run("DEL", self._prefix + key)


def _lifetime(ttl: float | None) -> tuple[object, ...]:
    return () if ttl is None else ("PX", max(1, int(ttl * 1000)))
