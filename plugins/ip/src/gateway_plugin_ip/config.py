"""The options of the plugin."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from gateway_plugin_sdk import ConfigFile, ConfigModel, IpNetwork
from pydantic import AfterValidator, Field, model_validator

_COUNTRY: Final = re.compile(r"[A-Z]{2}")


def _check_country(value: str) -> str:
    if not _COUNTRY.fullmatch(value):
        raise ValueError("is not a country: write two capitals of ISO 3166, such as DE")
    return value


Country = Annotated[str, AfterValidator(_check_country)]


class NetworkFile(ConfigModel):
    """Networks out of a file."""

    file: ConfigFile
    """An address or a network on each line; ``#`` begins a comment. The file is watched."""


class GeoConfig(ConfigModel):
    """Countries by a database of MaxMind's format, such as GeoLite2-Country or DB-IP's."""

    database: ConfigFile
    """The ``.mmdb`` file, up to 16 MiB, which is held in memory. It is watched."""

    allow: tuple[Country, ...] = ()
    """Countries from which requests may come; all unless given."""

    deny: tuple[Country, ...] = ()
    """Countries from which they may not come; the stronger of both."""

    unknown: Literal["allow", "deny"] = "deny"
    """What becomes of addresses that the database does not know, such as private ones."""

    @model_validator(mode="after")
    def _decides(self) -> Self:
        if not self.allow and not self.deny:
            raise ValueError("names no country: write some into allow or deny, or leave out geo")
        return self


class IpConfig(ConfigModel):
    """Which addresses requests may come from.

    A request passes if its address is in none of ``deny`` and, where ``allow`` is given, in one of ``allow``. An
    address that is not known, such as that of a peer on a unix socket, is refused.
    """

    allow: tuple[IpNetwork | NetworkFile, ...] | None = None
    """Networks and addresses, or ``{file: NAME}``."""

    deny: tuple[IpNetwork | NetworkFile, ...] = ()
    """Networks and addresses, or ``{file: NAME}``."""

    geo: GeoConfig | None = None
    """Countries; an address that ``allow`` names need not be in one of them."""

    address: Literal["client", "peer"] = "client"
    """Whose address counts: the client's (by what trusted proxies say), or that of the other end of the connection."""

    status: Annotated[int, Field(ge=400, le=499)] = 403
    """The status of a refusal; 404 hides that there is something."""

    message: str = "access from this address is not allowed"
    """The detail of the problem that the client gets."""

    @model_validator(mode="after")
    def _decides(self) -> Self:
        if self.allow is None and not self.deny and self.geo is None:
            raise ValueError("neither allows nor denies anything: write networks into allow or deny")
        if self.allow == ():
            raise ValueError("allow is empty, so that every request would be refused: write networks, or leave it out")
        return self
