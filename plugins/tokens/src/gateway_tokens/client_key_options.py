"""Configuration of a key that takes the place of a client's secret; without what reads it, which takes memory."""

from __future__ import annotations

from gateway_plugin_sdk import ConfigFile, ConfigModel
from pydantic import Field

from gateway_tokens.algorithms import Algorithm


class ClientKeyOptions(ConfigModel):
    """A key of ours, in place of a secret: the server has its public half (``private_key_jwt``, RFC 7523)."""

    file: ConfigFile
    """File of the private key (PEM, without a password): when it is replaced, the new one is used without a restart."""

    id: str | None = Field(default=None, min_length=1)
    """Its name at the server: ``kid`` of what is signed."""

    certificate: ConfigFile | None = None
    """File of its certificate (PEM), if the server knows the key by that: ``x5t#S256`` of what is signed."""

    algorithm: Algorithm | None = None
    """What to sign with; RS256 with an RSA key unless given."""
