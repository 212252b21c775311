"""TLS of Traefik's entry points: certificates, and options that routers name, as TLS of listeners.

Traefik chooses options by the name that a client asks for (SNI): those of the routers whose rules have it in `Host`.
Here a listener beside that of the entry point, at the same address, serves these hosts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway_import.failures import Origin
from gateway_import.model import Imported, clean_id
from gateway_import.sections import Section
from gateway_import.traefik.rules import RuleError, alternatives, conditions

_CLIENT_AUTH: Final = {"RequireAndVerifyClientCert": "required", "VerifyClientCertIfGiven": "optional"}
_VERSIONS: Final = {"VersionTLS12": None, "VersionTLS13": "1.3"}
_MEANINGLESS: Final = ("alpnProtocols", "preferServerCipherSuites", "disableSessionTickets")
_SUITE: Final = re.compile(r"TLS_(?:(ECDHE_(?:RSA|ECDSA))|RSA)_WITH_(AES_(?:128|256)|CHACHA20_POLY1305)(?:_(\w+))?")
_OF_TLS_13: Final = frozenset({"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
DEFAULT: Final = "default"


def option_of(router: Section) -> str | None:
    """Return the name of a router's TLS options; None if it has no TLS."""
    if "tls" not in router:
        return None
    tls = router.take("tls")
    named = Section(tls).text("options") if tls is not None and isinstance(tls.value, dict) else None
    return (named or DEFAULT).removesuffix("@file")


class TlsOptions:
    """Which options hold where, and what they are here."""

    def __init__(self, imported: Imported, tls: Section | None, routers: Mapping[str, Section]) -> None:
        self.imported = imported
        every = tls.section("options") if tls is not None else None
        self._sections: dict[str, Section] = {}
        if every is not None:
            self._sections = {name: found for name in every.names() if (found := every.section(name)) is not None}
        self._made: dict[str, dict[str, Any] | None] = {}
        self._wanted: dict[tuple[str, str], set[str]] = {}
        """Options that routers want, by entry point and host."""
        self._hosts: dict[str, list[str]] = {}
        """Hosts of the rule of each router that has TLS; none if some of its requests have no known host."""
        named = [name for router in routers.values() for name in _entry_points(router)]
        self._everywhere = list(dict.fromkeys(named)) or ["websecure"]
        for router in routers.values():
            option = option_of(router)
            if option is None:
                continue
            hosts = self._hosts[router.what] = _hosts(router)
            for entry_point in _entry_points(router) or self._everywhere:
                for host in hosts:
                    self._wanted.setdefault((entry_point, host), set()).add(option)

    def holds_for(self, router: Section, option: str) -> bool:
        """Whether listeners of the router's hosts have its options."""
        hosts = self._hosts.get(router.what, [])
        places = [(name, host) for name in _entry_points(router) or self._everywhere for host in hosts]
        return bool(places) and self.keys(option) is not None and all(len(self._wanted[each]) == 1 for each in places)

    def asks_for_certificates(self, option: str) -> bool:
        """Whether clients have to show certificates, as far as is known."""
        section = self._sections.get(option)
        return section is None or "clientAuth" in section

    def has(self, option: str) -> bool:
        """Whether options of this name are in the file."""
        return option in self._sections

    def origin_of(self, option: str) -> Origin:
        """Return where options of the file stand."""
        return self._sections[option].origin_of("clientAuth")

    def listeners(self, entry_point: str) -> dict[str, list[str]]:
        """Return the hosts of an entry point that have options of their own, by their options."""
        found: dict[str, list[str]] = {}
        for (name, host), options in self._wanted.items():
            option = next(iter(options))
            if name == entry_point and len(options) == 1 and option != DEFAULT and self.keys(option) is not None:
                found.setdefault(option, []).append(host)
        return found

    def keys(self, option: str) -> dict[str, Any] | None:
        """Return the keys of ``tls`` for options; None if they are not in the file, or guard what cannot be here."""
        if option not in self._made:
            section = self._sections.get(option)
            self._made[option] = None if section is None else self._read(section, option)
        return self._made[option]

    def _read(self, section: Section, option: str) -> dict[str, Any] | None:
        made: dict[str, Any] = {}
        what = f"of tls.options {option!r}"
        version = section.text("minVersion")
        if version is not None and version not in _VERSIONS:
            reason = "the lowest version here is TLS 1.2"
            self.imported.note(section.origin_of("minVersion"), f"'minVersion' {what}", reason)
        elif version is not None and (lowest := _VERSIONS[version]) is not None:
            made["min_version"] = lowest
        if section.boolean("sniStrict"):
            made["strict_sni"] = True
        suites = section.texts("cipherSuites")
        if suites and "min_version" not in made and not _OF_TLS_13.issuperset(suites):
            names = [openssl_name(each) for each in suites if each not in _OF_TLS_13]
            if None in names:
                reason = "OpenSSL has no such cipher, or no name of it is known here"
                self.imported.lose(section.origin_of("cipherSuites"), f"'cipherSuites' {what}", reason, "write ciphers")
            else:
                made["ciphers"] = ":".join(filter(None, names))
        auth = section.section("clientAuth")
        section.ignore(*_MEANINGLESS)
        for key, node in section.rest():
            reason = "OpenSSL's own settings have it"
            self.imported.lose(node.origin, f"{key!r} {what}", reason, "set it in openssl.cnf")
        return made if auth is None else _with_client_auth(made, auth)


def _with_client_auth(made: dict[str, Any], auth: Section) -> dict[str, Any] | None:
    files, kind = auth.texts("caFiles"), auth.text("clientAuthType") or "NoClientCert"
    if kind == "NoClientCert":
        return made
    if kind not in _CLIENT_AUTH or len(files) != 1 or list(auth.rest()):
        return None
    return made | {"client_ca": files[0], "client_auth": _CLIENT_AUTH[kind]}


def openssl_name(suite: str) -> str | None:
    """Return OpenSSL's name of a cipher suite of TLS 1.2 (IANA's registry); None if it is not known."""
    found = _SUITE.fullmatch(suite)
    if found is None:
        return None
    exchange, cipher, mode = found.groups()
    if cipher == "CHACHA20_POLY1305":
        parts = [exchange, cipher]
    elif mode in {"GCM_SHA256", "GCM_SHA384", "CBC_SHA", "CBC_SHA256"}:
        parts = [exchange, cipher.replace("_", ""), mode.removeprefix("CBC_")]
    else:
        return None
    return "-".join(each.replace("_", "-") for each in parts if each)


def listener_name(entry_point: str, option: str) -> str:
    """Return the name of the listener of an entry point's hosts with options of their own."""
    return clean_id(f"{entry_point}-{option}", "tls")


def _entry_points(router: Section) -> list[str]:
    return [str(each.value) for each in Section(router.node, router.what).nodes("entryPoints")]


def _hosts(router: Section) -> list[str]:
    rule = Section(router.node, router.what).text("rule") or ""
    found: dict[str, None] = {}
    try:
        for matchers in alternatives(rule):
            hosts = conditions(matchers).keys.get("hosts", [])
            exact = [each for each in hosts if isinstance(each, str) and "*" not in each and "{" not in each]
            if not exact or len(exact) != len(hosts):
                return []
            found |= dict.fromkeys(exact)
    except RuleError:  # said where the router is read
        return []
    return list(found)
