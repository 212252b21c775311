"""Where an API server is, and who we are to it: as a pod of the cluster, or by a kubeconfig."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway_plugin_sdk import ConfigFile, client_tls_context

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its credentials (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod)."""


class ClusterError(ValueError):
    """Credentials that are not there, or that we cannot use."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One API server and our credentials."""

    server: str
    """Scheme, host, port and perhaps a path, without a slash at the end."""
    namespace: str = "default"
    """The namespace that is meant where none is named."""
    tls: ssl.SSLContext | bool = True
    server_name: str | None = None
    """The name in the server's certificate, if it is another one than in its URL."""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    """Read for each request, since Kubernetes rotates it: requests are rare, and the file is small."""
    username: str = ""
    password: str = field(default="", repr=False)

    def authorization(self) -> Mapping[str, str]:
        """Return the header fields that say who we are.

        :raises ClusterError: the token's file cannot be read.
        """
        token = self.token
        if self.token_file is not None:
            try:
                token = ConfigFile(self.token_file).read_text("ascii").strip()
            except (OSError, ValueError) as error:
                raise ClusterError(f"the token in {str(self.token_file)!r} cannot be read: {error}") from None
        if token:
            return {"Authorization": f"Bearer {token}"}
        if self.username:
            word = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return {"Authorization": f"Basic {word}"}
        return {}


LoadCluster = Callable[[], Cluster]
"""Reads the credentials; again whenever the server does not accept them, since files are replaced."""


def in_cluster(environ: Mapping[str, str], directory: Path = SERVICE_ACCOUNT) -> Cluster:
    """Return what a pod is told of its own cluster.

    :raises ClusterError: this is no pod, or its service account's token is not mounted.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ClusterError("KUBERNETES_SERVICE_HOST is not set: this is no pod, give a kubeconfig")
    token_file, authority, namespace = (directory / name for name in ("token", "ca.crt", "namespace"))
    if not token_file.is_file():
        raise ClusterError(f"there is no {str(token_file)!r}: set automountServiceAccountToken of the pod")
    try:
        tls = client_tls_context(str(authority) if authority.is_file() else "") or True
        own = namespace.read_text("utf-8").strip() if namespace.is_file() else ""
    except (OSError, ValueError) as error:
        raise ClusterError(f"the service account in {str(directory)!r} cannot be used: {error}") from None
    name = f"[{host}]" if ":" in host else host
    return Cluster(f"https://{name}:{port}", own or "default", tls, token_file=token_file)
