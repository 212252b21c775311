"""The source ``etcd://``: each key under a prefix is a document."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable
from pathlib import PurePosixPath
from typing import Final

from gateway_plugin_sdk import Document, DocumentFormat, SourceContext, SourceState, SourceUrl

from gateway_plugin_etcd.client import Access, EtcdClient
from gateway_plugin_etcd.following import Follower
from gateway_plugin_etcd.keyspace import Scope
from gateway_plugin_etcd.tls import tls_context
from gateway_plugin_etcd.wire import KeyValue

DEFAULT_PORT: Final = 2379
USERNAME_VARIABLE: Final = "GATEWAY_ETCD_USERNAME"
PASSWORD_VARIABLE: Final = "GATEWAY_ETCD_PASSWORD"  # noqa: S105  # a name

_OPTIONS: Final = ("prefix", "tls", "ca", "cert", "key", "timeout", "ping")
_SWITCH: Final = {"true": True, "false": False}
_FORMATS: Final = {
    ".json": DocumentFormat.JSON,
    ".toml": DocumentFormat.TOML,
    ".yaml": DocumentFormat.YAML,
    ".yml": DocumentFormat.YAML,
}

_logger = logging.getLogger("gateway.plugins.etcd")


class EtcdSource:
    """The documents under a prefix. A key's ending tells the format: ``.json``, ``.toml``, else YAML."""

    def __init__(self, access: Access, scope: Scope, name: str, context: SourceContext) -> None:
        self._access = access
        self._scope = scope
        self._name = name
        self._context = context
        self._seen: dict[bytes, tuple[KeyValue, Document]] = {}

    async def documents(self) -> AsyncGenerator[SourceState]:
        """Yield all documents, in the order of their keys."""
        client = EtcdClient(self._access, self._context.session, self._context.rng)
        async for heard in Follower(client, self._scope, self._context.rng).follow():
            yield SourceState(tuple(self._read(heard.entries)), is_stale=heard.is_stale, reason=heard.reason)

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
        return Document(name, text, _FORMATS.get(PurePosixPath(key).suffix, DocumentFormat.YAML))


def make_source(url: SourceUrl, context: SourceContext) -> EtcdSource:
    """Make the source of ``etcd://user:password@host:2379,host:2379/prefix``.

    :raises ValueError: the URL cannot work.
    """
    url.allow_options(*_OPTIONS)
    if not url.hosts:
        raise ValueError("has no host: write for example etcd://127.0.0.1:2379/gateway")
    prefix = url.options.get("prefix", url.path)
    if not prefix.strip("/"):
        raise ValueError("has no prefix, and would read every key: write for example etcd://127.0.0.1:2379/gateway")
    files = {name: url.options.get(name, "") for name in ("ca", "cert", "key")}
    is_tls = _switch(url, default=any(files.values()))
    access = Access(
        tuple(f"{'https' if is_tls else 'http'}://{_with_port(host)}" for host in url.hosts),
        url.username or context.environ.get(USERNAME_VARIABLE, ""),
        url.password or context.environ.get(PASSWORD_VARIABLE, ""),
        tls_context(**files) if is_tls else None,
        url.seconds("timeout", 5.0),
        url.seconds("ping", 5.0),
    )
    return EtcdSource(access, scope_of(prefix), f"{url.scheme}://{','.join(url.hosts)}", context)


def scope_of(prefix: str) -> Scope:
    """Return the keys that a prefix stands for: a name that ends like a document is one."""
    return Scope.exactly(prefix) if PurePosixPath(prefix).suffix in _FORMATS else Scope.below(prefix)


def _switch(url: SourceUrl, *, default: bool) -> bool:
    text = url.options.get("tls")
    if text is not None and text not in _SWITCH:
        raise ValueError(f"option tls: {text!r} is neither true nor false")
    return default if text is None else _SWITCH[text]


def _with_port(host: str) -> str:
    has_port = ":" in (host.rpartition("]")[2] if host.startswith("[") else host)
    return host if has_port else f"{host}:{DEFAULT_PORT}"
