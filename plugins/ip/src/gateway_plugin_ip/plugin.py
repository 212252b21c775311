"""The plugin: refuses requests by the address that they come from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway_plugin_sdk import (
    ConfigFinding,
    EarlyHead,
    EarlyPass,
    Plugin,
    PluginContext,
    Request,
    Response,
    hookimpl,
)

from gateway_plugin_ip import geo
from gateway_plugin_ip.config import IpConfig, NetworkFile
from gateway_plugin_ip.networks import BadLineError, Network, NetworkSet, number_of, read_networks

_MOST_KNOWN: Final = 4096
"""Addresses whose result is remembered."""

_UNCHANGED: Final = EarlyPass()

Path = tuple[str | int, ...]


class IpAccess(Plugin[IpConfig]):
    """Lets requests pass by their addresses."""

    name = "ip"
    config_model = IpConfig
    access_control = True
    early_headers = frozenset()

    def __init__(self, config: IpConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._allowed = None if config.allow is None else NetworkSet(_networks(config.allow))
        self._denied = NetworkSet(_networks(config.deny))
        self._country_of = None if config.geo is None else geo.open_countries(config.geo.database.read_bytes())
        self._by_peer = config.address == "peer"
        self._known: dict[str, bool] = {}
        self._refusal = Response.problem(config.status, config.message)

    @classmethod
    def check_config(cls, config: IpConfig) -> Iterable[ConfigFinding]:
        """Read the files that are named, and find what cannot be meant."""
        for name, entries in (("allow", config.allow or ()), ("deny", config.deny)):
            for index, entry in enumerate(entries):
                if isinstance(entry, NetworkFile):
                    yield from _file_findings((name, index, "file"), entry)
        if config.geo is not None:
            yield from _geo_findings(config)

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        """Refuse a request from an address that may not pass."""
        address = request.peer_ip if self._by_peer else request.client_ip
        passes = self._known.get(address)
        if passes is None:
            passes = self._passes(address)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[address] = passes
        return None if passes else self._refusal

    def passes_early(self, head: EarlyHead) -> EarlyPass | None:
        """Let a request pass from an address that was let pass before."""
        address = head.origin.peer_ip if self._by_peer else head.origin.client_ip
        return _UNCHANGED if self._known.get(address) is True else None

    def _passes(self, address: str) -> bool:
        number = number_of(address)
        if number is None or number in self._denied:
            return False
        if self._allowed is not None and number in self._allowed:
            return True
        if self._country_of is None or self.config.geo is None:
            return self._allowed is None
        rules, country = self.config.geo, self._country_of(address)
        if country is None:
            return rules.unknown == "allow"
        return country not in rules.deny and (not rules.allow or country in rules.allow)


def _networks(entries: Iterable[Network | NetworkFile]) -> Iterable[Network]:
    for entry in entries:
        if isinstance(entry, NetworkFile):
            yield from read_networks(entry.file.read_text())
        else:
            yield entry


def _file_findings(path: Path, entry: NetworkFile) -> Iterable[ConfigFinding]:
    try:
        networks = read_networks(entry.file.read_text())
    except (BadLineError, UnicodeDecodeError) as error:
        reason = error if isinstance(error, BadLineError) else "it is no text in UTF-8"
        yield ConfigFinding(path, f"{entry.file}: {reason}", code="bad-file")
        return
    if not networks:
        message = f"{entry.file} names no network: as part of allow it lets no one pass, as part of deny everyone"
        yield ConfigFinding(path, message, code="empty-file", severity="warning")


def _geo_findings(config: IpConfig) -> Iterable[ConfigFinding]:
    assert config.geo is not None
    path: Path = ("geo", "database")
    if not geo.is_installed():
        yield ConfigFinding(path, f"reading databases needs maxminddb: {geo.INSTALL}", code="not-installed")
        return
    try:
        geo.open_countries(config.geo.database.read_bytes())
    except geo.DatabaseError as error:
        yield ConfigFinding(path, f"{config.geo.database} {error}", code="bad-database")
