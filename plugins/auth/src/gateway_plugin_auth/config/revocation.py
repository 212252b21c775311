"""Configuration of what is kept of tokens, and of those that are refused although they are valid."""

from __future__ import annotations

from typing import Annotated, Final

from gateway_plugin_sdk import ConfigModel, Duration, FileName, SecretUrl
from pydantic import Field

BYTES_PER_TOKEN: Final = 4096
"""Memory that the cache of tokens may take for each of its entries."""


class CacheOptions(ConfigModel):
    """The cache of tokens that were verified."""

    size: Annotated[int, Field(ge=0, le=1_000_000)] = 10_000
    """Tokens at most; 0 verifies each request's token again. Together they take at most 4 KiB of memory for each of
    these: of large ones fewer are remembered."""

    max_age: Duration = 300.0
    """How long a token is remembered at most; never longer than it is valid."""


class RevocationOptions(ConfigModel):
    """Tokens that are refused although they are valid.

    An entry is ``CLAIM:VALUE``, such as ``jti:4711`` or ``sub:alice``, or ``sha256:HEX`` of a whole token.
    ``CLAIM:VALUE before SECONDS`` only revokes tokens whose ``iat`` is earlier. Files have an entry a line; ``#``
    begins a comment.
    """

    entries: tuple[str, ...] = ()
    """Entries of the list itself."""

    file: FileName | None = None
    """File with more entries, read again when it changes."""

    url: SecretUrl | None = None
    """URL of a text with more entries."""

    refresh: Duration = 30.0
    """How often the file or the URL is read again."""
