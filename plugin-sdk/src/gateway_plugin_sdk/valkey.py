"""Values that several gateways share: on a Valkey or Redis server, with the methods of `Plugin.shared`.

The library, an optional dependency (``gateway-plugin-sdk[valkey]``), is imported when values are started.
What ``__all__`` lists is stable by semantic versioning.
"""

from __future__ import annotations

import asyncio
import importlib
import re
from typing import Annotated, Any, Final, Protocol
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field

from gateway_plugin_sdk import ConfigFile, ConfigModel, Duration, GatewayError, Secret, SecretUrl

__all__ = ["ServerOptions", "StoreAwayError", "ValkeyTlsOptions", "ValkeyValues", "Values"]

_URL: Final = r"^(redis|rediss|valkey|valkeys|unix)://.+$"
_DATABASE: Final = re.compile("/?|/[0-9]{1,9}")


def _check_url(value: str) -> None:
    if not re.match(_URL, value):
        raise ValueError("the url is not that of a server: write valkey://host:port/0, valkeys:// or unix:///path")
    if value.startswith("unix:"):
        return
    try:
        address = urlsplit(value)
        is_server = bool(address.hostname) and address.port != 0
    except ValueError:
        is_server = False
    # The text shows nothing of the URL, which may have a password.
    if not is_server:
        raise ValueError("the url has no host, or a port that is none: write valkey://host:port/0")
    if _DATABASE.fullmatch(address.path) is None:
        raise ValueError("the path of the url is not the number of a database: write valkey://host:port/0")


ServerUrl = Annotated[
    SecretUrl,
    AfterValidator(SecretUrl.checked(_check_url)),
    Field(json_schema_extra={"pattern": _URL}),
]


class ValkeyTlsOptions(ConfigModel):
    """How the server and we prove who we are."""

    ca: ConfigFile | None = None
    """File of certificate authorities; those of the system unless given."""

    cert: ConfigFile | None = None
    """File of our own certificate."""

    key: ConfigFile | None = None
    """File of its private key."""


class ServerOptions(ConfigModel):
    """A Valkey or Redis server that all gateways share."""

    url: ServerUrl
    """The server: ``valkey://host:port/database``, ``valkeys://`` with TLS, or ``unix:///path``; ``redis://`` too."""

    username: str | None = None
    """The user to log in as."""

    password: Secret | None = None
    """The password to log in with."""

    tls: ValkeyTlsOptions | None = None
    """Certificates of connections with TLS."""

    timeout: Annotated[Duration, Field(gt=0)] = 1.0
    """How long one command may take."""

    max_connections: Annotated[int, Field(ge=1, le=1000)] = 16
    """Connections of one worker at most."""

    prefix: Annotated[str, Field(pattern=r"^[^\s{}]*$")] = "gateway:"
    """What the names of our keys begin with."""


class StoreAwayError(GatewayError):
    """The server does not respond: what it knows is not known here."""


class Values(Protocol):
    """Bytes by key; what has a ``ttl`` is gone after so many seconds. `ValkeyValues` are such, and `Plugin.shared`."""

    async def get(self, key: str) -> bytes | None: ...
    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None: ...
    async def add(self, key: str, value: bytes, ttl: float | None = None) -> bool: ...
    async def delete(self, key: str) -> None: ...


_MODULES: Final = ("redis.asyncio", "redis.asyncio.retry", "redis.backoff", "redis.exceptions")


class ValkeyValues:
    """Values on a server. No command is repeated: what failed may have been done.

    Each method raises `StoreAwayError` if the server does not respond in time, or refuses the command.
    """

    def __init__(self, options: ServerOptions) -> None:
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
                f"valkey needs the redis package, which is missing ({error}): pip install 'gateway-plugin-sdk[valkey]'"
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
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def run(self, *command: object) -> Any:
        """Run any command, with whole names of keys.

        :raises StoreAwayError: the server does not respond, or refuses it.
        """
        try:
            async with self._free:
                return await self._client.execute_command(*command)
        except self._failures as error:
            raise StoreAwayError(f"valkey: {type(error).__name__}: {error}") from error

    async def get(self, key: str) -> bytes | None:
        """Return a value, or None if the key has none."""
        found = await self.run("GET", self._prefix + key)
        return bytes(found) if found is not None else None

    async def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Set a value, for ``ttl`` seconds or until it is deleted."""
        await self.run("SET", self._prefix + key, value, *_lifetime(ttl))

    async def add(self, key: str, value: bytes, ttl: float | None = None) -> bool:
        """Set a value if the key has none; return whether it was set. Of several callers one gets True."""
        return bool(await self.run("SET", self._prefix + key, value, "NX", *_lifetime(ttl)))

    async def delete(self, key: str) -> None:
        """Remove a key."""
        await self.run("DEL", self._prefix + key)


def _lifetime(ttl: float | None) -> tuple[object, ...]:
    return () if ttl is None else ("PX", max(1, int(ttl * 1000)))
