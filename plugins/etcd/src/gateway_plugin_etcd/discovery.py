"""The discovery ``etcd``: each key under a prefix is an endpoint of the upstream."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final, Literal

from gateway_plugin_sdk import (
    ConfigModel,
    Discovered,
    DiscoveryContext,
    Duration,
    EndpointSpec,
    EndpointStatus,
    Secret,
    SecretUrl,
)
from gateway_plugin_sdk.unstable import OptionalFileName, RenewedTls, is_server_url
from pydantic import Field, ValidationError, field_validator

from gateway_plugin_etcd.client import Access, EtcdClient
from gateway_plugin_etcd.keyspace import Scope
from gateway_plugin_etcd.watcher import ClusterWatcher
from gateway_plugin_etcd.wire import KeyValue

_URL: Final = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:[0-9]+)?/?")

_logger = logging.getLogger("gateway.plugins.etcd")


class EtcdDiscoveryConfig(ConfigModel):
    """Configuration of the discovery ``etcd``."""

    endpoints: tuple[str, ...] = Field(min_length=1)
    """URLs of the cluster's members, such as ``http://10.0.0.1:2379``."""

    prefix: str = Field(min_length=1)
    """What the keys of the endpoints begin with; ``/services/users`` means all keys below ``/services/users/``."""

    username: str = ""
    """User, if etcd has authentication on."""

    password: Secret = Secret("")
    """The user's password."""

    ca: OptionalFileName = ""
    """File of the authorities to trust; the system's unless given."""

    cert: OptionalFileName = ""
    """File of the client certificate."""

    key: OptionalFileName = ""
    """File of the client certificate's key."""

    timeout: Duration = 5.0
    """How long a call may take."""

    ping: Duration = 5.0
    """Silence after which a member is asked whether it is still there."""

    @field_validator("endpoints")
    @classmethod
    def _check_endpoints(cls, endpoints: tuple[str, ...]) -> tuple[str, ...]:
        for url in endpoints:
            if not is_server_url(url):
                raise ValueError(f"{str(SecretUrl(url))!r} is not a URL such as http://127.0.0.1:2379")
            if "@" in url:
                raise ValueError("a URL has a user: give username and password instead")
        return endpoints


class EndpointValue(ConfigModel):
    """The value of a key as JSON; a value that is a URL alone stands for ``{"url": ...}``."""

    url: str
    weight: int = Field(default=1, ge=0)
    status: Literal["up", "down", "drain"] = "up"


class EtcdDiscovery:
    """Finds the endpoints under a prefix. An endpoint is gone when its key is, so with the lease that holds it."""

    config_model: ClassVar[type[EtcdDiscoveryConfig]] = EtcdDiscoveryConfig

    def __init__(self, config: EtcdDiscoveryConfig, context: DiscoveryContext) -> None:
        """Prepare to connect.

        :raises ValueError: a TLS file cannot be used.
        """
        is_tls = any(url.startswith("https://") for url in config.endpoints)
        self._access = Access(
            config.endpoints,
            config.username,
            config.password.reveal(),
            RenewedTls(config.ca, config.cert, config.key) if is_tls else None,
            config.timeout,
            config.ping,
        )
        # Files count with what is in them: the watch of a certificate that was replaced is another one.
        files = [Path(name).read_bytes() if is_tls and name else b"" for name in (config.ca, config.cert, config.key)]
        self._cluster_key = ("etcd", replace(self._access, tls=None), *files)
        self._scope = Scope.below(config.prefix)
        self._context = context
        self._seen: dict[bytes, tuple[KeyValue, EndpointSpec]] = {}

    async def watch(self) -> AsyncGenerator[Discovered]:
        """Yield all endpoints, in the order of their keys."""
        lease = self._context.shared.acquire(self._cluster_key, self._make_watcher)
        watcher: ClusterWatcher = lease.value
        try:
            async with aclosing(watcher.follow(self._scope)) as states:
                async for state in states:
                    endpoints = tuple(self._read(state.entries))
                    why = state.reason or ("" if endpoints else self._why_empty(len(state.entries)))
                    yield Discovered(endpoints, is_stale=state.is_stale, reason=why)
        finally:
            await lease.aclose()

    def _make_watcher(self) -> ClusterWatcher:
        client = EtcdClient(self._access, self._context.session, self._context.rng)
        return ClusterWatcher(client, self._context.rng)

    def _why_empty(self, keys: int) -> str:
        prefix = self._scope.first.decode("utf-8", "replace")
        return (
            f"none of the {keys} keys below {prefix!r} is an endpoint" if keys else f"there is no key below {prefix!r}"
        )

    def _read(self, entries: Iterable[KeyValue]) -> Iterable[EndpointSpec]:
        seen, self._seen = self._seen, {}
        for entry in entries:
            known = seen.get(entry.key)
            if known is None or known[0] is not entry:
                try:
                    known = entry, read_endpoint(self._scope.relative(entry.key), entry.value)
                except ValueError as error:
                    self._refuse(entry, error, is_known=known is not None)
                    known = None if known is None else (entry, known[1])
            if known is not None:
                self._seen[entry.key] = known
                yield known[1]

    def _refuse(self, entry: KeyValue, error: ValueError, *, is_known: bool) -> None:
        held = "stays as it was" if is_known else "is left out"
        key = entry.key.decode("utf-8", "replace")
        _logger.error("upstream %s: the endpoint of key %r %s: %s", self._context.upstream, key, held, error)


def read_endpoint(name: bytes, value: bytes) -> EndpointSpec:
    """Read one endpoint; its id is the key's name.

    :raises ValueError: it is neither a URL nor a JSON object with one.
    """
    text = value.decode("utf-8").strip()
    try:
        fields = EndpointValue.model_validate(json.loads(text) if text.startswith("{") else {"url": text})
    except ValidationError as error:
        raise ValueError(explained(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    url = fields.url if "://" in fields.url else f"http://{fields.url}"
    if not _URL.fullmatch(url):
        raise ValueError(f"{str(SecretUrl(fields.url))!r} is not a URL such as http://10.0.0.1:8080")
    status = EndpointStatus(fields.status)
    return EndpointSpec.from_url(url, id=name.decode("utf-8", "replace"), weight=fields.weight, status=status)


def explained(error: ValidationError) -> str:
    """Return what is wrong with a value, key by key, without the value: it may be a password."""
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg'].lower()}" for each in error.errors())
