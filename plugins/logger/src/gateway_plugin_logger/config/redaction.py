"""Options that hide."""

from __future__ import annotations

from typing import Annotated, Literal

from gateway_plugin_sdk import ConfigModel, ReplacePattern, Secret
from pydantic import Field, model_validator

from gateway_plugin_logger.config.names import AnyFieldName
from gateway_plugin_logger.redaction.bodies import SECRET_MEMBERS
from gateway_plugin_logger.redaction.queries import SECRET_PARAMETERS


class _Rule(ConfigModel):
    fields: tuple[AnyFieldName, ...] = Field(min_length=1)
    """Fields that it changes; ``*`` is every field that is no number."""


class DeleteRule(_Rule):
    """Leaves fields out."""

    action: Literal["delete"]


class ReplaceRule(_Rule):
    """Replaces what a pattern matches, or the whole value."""

    action: Literal["replace"]
    pattern: ReplacePattern | None = None
    """Regular expression; without one the whole value is replaced. A text too long for it is hidden as a whole."""
    replacement: str = "REDACTED"
    """What stands there instead; ``\\1`` is the pattern's first group."""

    @model_validator(mode="after")
    def _has_its_groups(self) -> ReplaceRule:
        if self.pattern is not None:
            self.pattern.template(self.replacement)
        return self


class HashRule(_Rule):
    """Replaces values by pseudonyms: equal values stay equal."""

    action: Literal["hash"]


class MaskIpRule(_Rule):
    """Keeps the network of an address and drops the host."""

    action: Literal["mask_ip"]
    ipv4: int = Field(default=24, ge=0, le=32)
    """Bits of an IPv4 address that are kept."""
    ipv6: int = Field(default=48, ge=0, le=128)
    """Bits of an IPv6 address that are kept."""


Rule = Annotated[DeleteRule | ReplaceRule | HashRule | MaskIpRule, Field(discriminator="action")]


class Redaction(ConfigModel):
    """What lines do not say."""

    show: tuple[AnyFieldName, ...] = ()
    """Credentials to log all the same, such as ``cookie:theme`` or ``query:token``; ``*`` shows all."""
    query: tuple[str, ...] = SECRET_PARAMETERS
    """Query parameters whose values are hidden in every URL; ``*`` hides all."""
    members: tuple[str, ...] = SECRET_MEMBERS
    """Members of JSON bodies whose values are hidden; ``*`` hides all."""
    rules: tuple[Rule, ...] = ()
    """Changes to single fields, applied in order."""
    hash_key: Secret | None = None
    """Key of the pseudonyms; without one a new key is made at each start."""
