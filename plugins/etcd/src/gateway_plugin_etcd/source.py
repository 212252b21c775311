"""The source ``etcd://``: each key under a prefix is a document."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from pathlib import PurePosixPath
from typing import ClassVar, Final

from gateway_plugin_sdk import (
    ConfigModel,
    Document,
    DocumentFormat,
    Duration,
    SourceContext,
    SourceState,
    SourceUrl,
)
from gateway_plugin_sdk.unstable import DOCUMENT_FORMATS, OptionalFileName, RenewedTls, document_format, with_port
from pydantic import Field

from gateway_plugin_etcd.client import Access, EtcdClient
from gateway_plugin_etcd.errors import EtcdError
from gateway_plugin_etcd.keyspace import Scope
from gateway_plugin_etcd.watcher import ClusterWatcher
from gateway_plugin_etcd.wire import KeyValue

DEFAULT_PORT: Final = 2379
USERNAME_VARIABLE: Final = "GATEWAY_ETCD_USERNAME"
PASSWORD_VARIABLE: Final = "GATEWAY_ETCD_PASSWORD"  # noqa: S105  # a name

_logger = logging.getLogger("gateway.plugins.etcd")


class EtcdSourceConfig(ConfigModel):
    """Options in the URL of a source ``etcd://``."""

    prefix: str = ""
    """Prefix of the keys, instead of the URL's path: for one that does not begin with a slash."""

    tls: bool | None = None
    """Whether connections are encrypted; they are where a file is given."""

    ca: OptionalFileName = ""
    """File of the authorities to trust; the system's unless given."""

    cert: OptionalFileName = ""
    """File of the client certificate."""

    key: OptionalFileName = ""
    """File of the client certificate's key."""

    timeout: Duration = Field(default=5.0, gt=0)
    """How long a call may take."""

    ping: Duration = Field(default=5.0, gt=0)
    """Silence after which a member is asked whether it is still there."""


class EtcdSource:
    """The documents under a prefix. A key's ending tells the format: ``.json``, ``.toml``, else YAML."""

    config_model: ClassVar[type[EtcdSourceConfig]] = EtcdSourceConfig

    def __init__(self, url: SourceUrl, context: SourceContext) -> None:
        """Read ``etcd://user:password@host:2379,host:2379/prefix``.

        :raises ValueError: the URL cannot work.
        """
        config: EtcdSourceConfig = url.config
        if not url.hosts:
            raise ValueError("has no host: write for example etcd://127.0.0.1:2379/gateway")
        prefix = config.prefix or url.path
        if not prefix.strip("/"):
            raise ValueError("has no prefix, and would read every key: write for example etcd://127.0.0.1:2379/gateway")
        is_tls = bool(config.ca or config.cert or config.key) if config.tls is None else config.tls
        self._access = Access(
            tuple(f"{'https' if is_tls else 'http'}://{with_port(host, DEFAULT_PORT)}" for host in url.hosts),
            url.username or context.environ.get(USERNAME_VARIABLE, ""),
            url.password or context.environ.get(PASSWORD_VARIABLE, ""),
            RenewedTls(config.ca, config.cert, config.key) if is_tls else None,
            config.timeout,
            config.ping,
        )
        self._scope = scope_of(prefix)
        self._name = f"{url.scheme}://{','.join(url.hosts)}"
        self._context = context
        self._seen: dict[bytes, tuple[KeyValue, Document]] = {}

    async def documents(self) -> AsyncGenerator[SourceState]:
        """Yield all documents, in the order of their keys.

        :raises EtcdError: etcd did not respond at all yet.
        """
        client = EtcdClient(self._access, self._context.session, self._context.rng)
        watcher = ClusterWatcher(client, self._context.rng)
        try:
            async with aclosing(watcher.follow(self._scope)) as states:
                async for state in states:
                    if not state.is_listed:
                        raise EtcdError(state.reason)
                    yield SourceState(tuple(self._read(state.entries)), is_stale=state.is_stale, reason=state.reason)
        finally:
            await watcher.aclose()

    def _read(self, entries: Iterable[KeyValue]) -> Iterable[Document]:
        seen, self._seen = self._seen, {}
        for entry in entries:
            known = seen.get(entry.key)
            if known is None or known[0] is not entry:
                document = self._document(entry)
                known = (entry, document) if document is not None else known and (entry, known[1])
            if known is not None:
                self._seen[entry.key] = known
                yield known[1]

    def _document(self, entry: KeyValue) -> Document | None:
        try:
            key = entry.key.decode()
            text = entry.value.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            _logger.error("%s: the document %r is left as it was: it is not UTF-8: %s", self._name, entry.key, error)
            return None
        name = f"{self._name}{'' if key.startswith('/') else '/'}{key}"
        return Document(name, text, document_format(key) or DocumentFormat.YAML)


def scope_of(prefix: str) -> Scope:
    """Return the keys that a prefix stands for: a name that ends like a document is one."""
    return (
        Scope.exactly(prefix) if PurePosixPath(prefix).suffix in DOCUMENT_FORMATS.keys() - {""} else Scope.below(prefix)
    )
