"""Configuration of how documents are fetched."""

from __future__ import annotations

from collections.abc import Hashable

from gateway_plugin_sdk import ConfigFile, ConfigModel, Duration, SecretHeaderValue, SecretUrl, Size
from pydantic import model_validator

from gateway_tokens.texts import Header, proxy_problem


class FetchOptions(ConfigModel):
    """How a key set or a revocation list is fetched and kept."""

    timeout: Duration = 5.0
    """How long one fetch may take; a request that needs a new key waits no longer."""

    refresh: Duration = 900.0
    """The longest time between two fetches. A shorter ``max-age`` of the server is respected, down to 10 s."""

    cooldown: Duration = 30.0
    """The shortest time between fetches that requests cause, such as by a ``kid`` that is not known."""

    stale_for: Duration = 86400.0
    """How long a document stays in use when it cannot be fetched again; then everything is refused."""

    max_bytes: Size = 1048576
    """The largest document that is read."""

    headers: dict[Header, SecretHeaderValue] = {}
    """Header fields to send, such as ``Authorization``."""

    ca: ConfigFile | None = None
    """File with the certificates (PEM) that the server's must come from, in place of the system's."""

    cert: ConfigFile | None = None
    """File with a client certificate (PEM)."""

    key: ConfigFile | None = None
    """File with the client certificate's key (PEM)."""

    proxy: SecretUrl | None = None
    """URL of an HTTP proxy to go through."""

    allow_http: bool = False
    """Whether ``http`` is accepted from other machines. From this machine it always is."""

    @model_validator(mode="after")
    def _has_certificate(self) -> FetchOptions:
        if self.key is not None and self.cert is None:
            raise ValueError("key is given without cert: give both")
        problem = proxy_problem(self.proxy.reveal()) if self.proxy is not None else None
        if problem is not None:
            raise ValueError(problem)
        return self

    def identity(self) -> Hashable:
        """Return what two equal sets of options have in common, secrets and the content of files included. Blocks."""
        headers = sorted((name, value.reveal()) for name, value in self.headers.items())
        proxy = self.proxy.reveal() if self.proxy is not None else None
        files = [None if file is None else file.read_bytes() for file in (self.ca, self.cert, self.key)]
        return tuple(headers), proxy, tuple(files), self.model_dump_json(exclude={"headers", "proxy"})
