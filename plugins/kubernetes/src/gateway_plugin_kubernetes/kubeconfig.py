"""Credentials from a kubeconfig, as kubectl uses it.

Users who are authenticated by another program (``exec``, ``auth-provider``) are refused: a gateway runs no programs.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from gateway_plugin_sdk import ConfigFile, client_tls_context
from gateway_plugin_sdk.unstable import is_server_url

from gateway_plugin_kubernetes.cluster import Cluster, ClusterError, LoadCluster, in_cluster

_REMEDY: Final = "use a token, a token file or a client certificate, such as those of a service account"
_REFUSED_USERS: Final = ("exec", "auth-provider")


@dataclass(frozen=True, slots=True)
class _Section:
    """A cluster, user or context with the file that it stands in: relative paths start there."""

    what: str
    values: Mapping[str, Any]
    directory: Path

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise ClusterError(f"{self.what}: {key} is {value!r}: write a text")
        return value

    def path(self, key: str) -> Path | None:
        text = self.text(key)
        return self.directory / text if text else None

    def octets(self, key: str) -> bytes | None:
        """Return what a file holds or what ``KEY-data`` has as base64; the latter counts more, as for kubectl."""
        encoded, path = self.text(f"{key}-data"), self.path(key)
        try:
            if encoded:
                return base64.b64decode(encoded, validate=True)
            return path.read_bytes() if path is not None else None
        except binascii.Error:
            raise ClusterError(f"{self.what}: {key}-data is not base64") from None
        except OSError as error:
            raise ClusterError(f"{self.what}: {key} cannot be read: {error}") from None


def cluster_loader(kubeconfig: str, context: str, environ: Mapping[str, str]) -> LoadCluster:
    """Return what reads the credentials: of the kubeconfig if one is named, else the pod's, else kubectl's."""

    def load() -> Cluster:
        if not kubeconfig and not context and environ.get("KUBERNETES_SERVICE_HOST"):
            return in_cluster(environ)
        return load_kubeconfig(_paths(kubeconfig, environ), context)

    return load


def _paths(kubeconfig: str, environ: Mapping[str, str]) -> list[Path]:
    named = kubeconfig or environ.get("KUBECONFIG", "")
    if named:
        return [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    return [Path("~/.kube/config").expanduser()]


def load_kubeconfig(paths: Iterable[Path], context: str = "") -> Cluster:
    """Read kubeconfigs, of which the first to name something counts.

    :param context: the context to use instead of ``current-context``.
    :raises ClusterError: naming what is missing, or what cannot be used.
    """
    paths = list(paths)
    shown = ", ".join(map(str, paths))
    documents = [(path.parent, _read(path)) for path in paths if len(paths) == 1 or os.path.isfile(path)]  # noqa: PTH113 - Path.is_file raises
    chosen = context or next((d["current-context"] for _, d in documents if d.get("current-context")), "")
    if not chosen:
        raise ClusterError(f"kubeconfig {shown} has no current-context: name a context")
    link = _find(documents, "context", chosen, shown)
    cluster = _find(documents, "cluster", link.text("cluster"), shown)
    user = _find(documents, "user", link.text("user"), shown) if link.text("user") else _Section("user", {}, Path())
    return _cluster_of(cluster, user, link.text("namespace") or "default")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(ConfigFile(path).read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower() if isinstance(error, OSError) else str(error)
        raise ClusterError(f"kubeconfig {str(path)!r} cannot be read: {reason}") from None
    if not isinstance(document, dict):
        raise ClusterError(f"kubeconfig {str(path)!r} is no mapping")
    return document


def _find(documents: list[tuple[Path, Mapping[str, Any]]], kind: str, name: str, shown: str) -> _Section:
    for directory, document in documents:
        for item in document.get(f"{kind}s") or ():
            if isinstance(item, dict) and item.get("name") == name and isinstance(item.get(kind), dict):
                return _Section(f"{kind} {name!r} of the kubeconfig", item[kind], directory)
    raise ClusterError(f"kubeconfig {shown} has no {kind} {name!r}")


def _cluster_of(cluster: _Section, user: _Section, namespace: str) -> Cluster:
    server = cluster.text("server").rstrip("/")
    if not is_server_url(server):
        raise ClusterError(f"{cluster.what}: server is {server!r}: write a URL such as https://10.0.0.1:6443")
    if cluster.values.get("proxy-url"):
        raise ClusterError(f"{cluster.what}: proxy-url is not supported: give a server that can be reached directly")
    for way in _REFUSED_USERS:
        if user.values.get(way):
            raise ClusterError(f"{user.what}: {way} is not supported: {_REMEDY}")
    return Cluster(
        server,
        namespace,
        _tls_context(cluster, user) if server.startswith("https://") else True,
        cluster.text("tls-server-name") or None,
        user.text("token"),
        user.path("tokenFile"),
        user.text("username"),
        user.text("password"),
    )


def _tls_context(cluster: _Section, user: _Section) -> ssl.SSLContext | bool:
    authority = cluster.octets("certificate-authority")
    certificate, key = user.octets("client-certificate"), user.octets("client-key")
    try:
        context = client_tls_context(
            authorities=authority,
            identity=None if certificate is None else (certificate, key or b""),
            verify=not cluster.values.get("insecure-skip-tls-verify"),
        )
    except ValueError as error:
        raise ClusterError(f"{cluster.what}: {error}") from None
    return context or True
