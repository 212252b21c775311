"""Addresses as listeners: one each, or one for each server where client certificates differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway_import.model import Imported, Listener
from gateway_import.nginx.servers import Address, Server
from gateway_import.nginx.values import variables

_OLD = frozenset({"SSLv2", "SSLv3", "TLSv1", "TLSv1.1"})


class Listeners:
    """Makes the listeners, and says which of them serve a server."""

    def __init__(self, imported: Imported, file: Callable[[str], str]) -> None:
        self._imported = imported
        self._file = file
        self._names: dict[tuple[str, int], str] = {}
        self._made = 0

    def add(self, address: Address) -> None:
        """Make the listeners of an address."""
        servers = sorted(address.servers, key=lambda each: each is not address.default)
        scheme = "https" if address.is_tls else "http"
        name = f"{scheme}-{address.text.rpartition(':')[2].strip('/').replace('/', '-')}"
        if any(each.keys["name"] == name for each in self._imported.listeners):
            name = f"{name}-{self._made}"
        own = (
            [each for each in servers if each.context.text("ssl_verify_client", "off") != "off"]
            if address.is_tls
            else []
        )
        if not own:
            self._listener(address, name, servers, None)
            return
        for number, server in enumerate(servers):
            hosts = [each.text for each in server.names if each.regex is None]
            label = name if server is address.default else f"{name}-{number}"
            self._listener(address, label, [server], None if server is address.default else hosts)

    def _listener(self, address: Address, name: str, servers: list[Server], hosts: list[str] | None) -> None:
        keys: dict[str, Any] = {"name": name, "address": address.text}
        if hosts:
            keys["hosts"] = hosts
        if address.is_tls:
            keys["tls"] = self._tls(servers)
        if "proxy_protocol" in address.flags:
            keys["proxy_protocol"] = True
        self._imported.listeners.append(Listener(keys, address.directive.origin))
        self._made += 1
        for each in servers:
            self._names[address.text, id(each)] = name

    def names(self, server: Server, addresses: list[Address]) -> list[str]:
        """Return the names of the listeners that serve a server at these addresses; none if all listeners do."""
        found = list(dict.fromkeys(self._names[each.text, id(server)] for each in addresses))
        return [] if len(found) == self._made else found

    def _tls(self, servers: list[Server]) -> dict[str, Any]:
        pairs: list[dict[str, Any]] = []
        for server in servers:
            certificates = server.context.all("ssl_certificate")
            for cert, key in zip(certificates, server.context.all("ssl_certificate_key"), strict=False):
                if variables(cert.value) or cert.value.startswith("data:"):
                    self._imported.lose(cert.origin, str(cert), "a certificate is a file")
                elif (pair := {"cert": self._file(cert.value), "key": self._file(key.value)}) not in pairs:
                    pairs.append(pair)
        tls: dict[str, Any] = dict(pairs[0]) if pairs else {}
        if len(pairs) > 1:
            tls["certificates"] = pairs[1:]
        if any(each.context.is_on("ssl_reject_handshake") for each in servers):
            tls["strict_sni"] = True
        return tls | self._versions(servers[0]) | self._clients(servers[0])

    def _versions(self, server: Server) -> dict[str, Any]:
        first = server.context
        tls: dict[str, Any] = {}
        protocols = first.one("ssl_protocols")
        if protocols is not None:
            if set(protocols.args) == {"TLSv1.3"}:
                tls["min_version"] = "1.3"
            if _OLD & set(protocols.args):
                self._imported.note(protocols.origin, str(protocols), "TLS 1.2 is the lowest version here")
        return tls

    def _clients(self, server: Server) -> dict[str, Any]:
        first = server.context
        tls: dict[str, Any] = {}
        verify = first.text("ssl_verify_client", "off")
        authority = first.one("ssl_client_certificate") or first.one("ssl_trusted_certificate")
        if verify in {"on", "optional"} and authority is not None:
            tls |= {
                "client_ca": self._file(authority.value),
                "client_auth": "required" if verify == "on" else "optional",
            }
            if first.text("ssl_crl"):
                tls["client_crl"] = self._file(first.text("ssl_crl"))
        return tls
