"""TLS options that routers of Traefik name: which hosts have them, and what closes a route."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from gateway_core.testing import RunningGateway, ScriptedUpstream
from gateway_import.model import Imported
from gateway_import.traefik.tls import openssl_name
from gateway_import.writer import to_yaml

from tests.core.process.certificates import Pair, make
from tests.importing import import_text, losses, written

MUTUAL = "{clientAuth: {caFiles: [/ca], clientAuthType: RequireAndVerifyClientCert}}"


def router(host: str, options: str = "", **more: str) -> str:
    keys = {"rule": f"'Host(`{host}`)'", "entryPoints": "[websecure]", "service": "s", **more}
    return f"{{{', '.join(f'{key}: {value}' for key, value in keys.items())}, tls: {{{options}}}}}"


def imported_of(routers: dict[str, str], options: str, pair: str = "certFile: /a.crt, keyFile: /a.key") -> Imported:
    lines = "".join(f"    {name}: {text}\n" for name, text in routers.items())
    text = (
        f"http:\n  routers:\n{lines}  services: {{s: {{loadBalancer: {{servers: [{{url: 'http://127.0.0.1:1'}}]}}}}}}\n"
        f"tls:\n  certificates: [{{{pair}}}]\n  options: {{{options}}}\n"
    )
    return import_text("traefik", text)


def responses(imported: Imported) -> dict[str, int | None]:
    """Return by router what it responds itself."""
    return {each["id"]: each.get("respond", {}).get("status") for each in written(imported)["routes"]}


def asked(port: int, name: str, authority: Pair, *, client: Pair | None = None, highest: Any = None) -> str:
    """Return the status that a request for a host gets, or ``refused`` by TLS."""
    context = ssl.create_default_context(cafile=str(authority.cert))
    context.maximum_version = highest or context.maximum_version
    if client is not None:
        context.load_cert_chain(client.cert, client.key)
    request = f"GET /x HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as raw,
            context.wrap_socket(raw, server_hostname=name) as tls,
        ):
            tls.sendall(request)
            received = tls.recv(65536)
    except (ssl.SSLError, ConnectionError):
        return "refused"
    return received.split(b" ", 2)[1].decode() if received else "refused"


def test_hosts_whose_routers_name_options_have_them_and_other_hosts_do_not(tmp_path: Path) -> None:
    names = ["www.test", "partners.test", "modern.test"]
    pair, client = make(tmp_path, "server", *names), make(tmp_path, "client", "client.test")
    options = f"mutual: {MUTUAL.replace('/ca', str(client.cert))}, modern: {{minVersion: VersionTLS13}}"
    routers = {
        "www": router("www.test"),
        "partners": router("partners.test", "options: mutual"),
        "modern": router("modern.test", "options: modern@file"),
        "any": router("x", rule="'PathPrefix(`/`)'"),
    }
    imported = imported_of(routers, options, f"certFile: {pair.cert}, keyFile: {pair.key}")
    for each in imported.listeners:
        each.keys["address"] = "127.0.0.1:0"

    with ScriptedUpstream() as upstream:
        text = to_yaml(imported).replace("http://127.0.0.1:1", upstream.url)
        with RunningGateway(text) as running:
            assert losses(imported) == []
            assert asked(running.port, "www.test", pair) == "200"
            assert asked(running.port, "partners.test", pair) == "refused"
            assert asked(running.port, "partners.test", pair, client=client) == "200"
            assert asked(running.port, "modern.test", pair) == "200"
            assert asked(running.port, "modern.test", pair, highest=ssl.TLSVersion.TLSv1_2) == "refused"
            assert asked(running.port, "www.test", pair, highest=ssl.TLSVersion.TLSv1_2) == "200"


@pytest.mark.parametrize(
    ("routers", "options"),
    [
        ({"r": router("a.com", "options: o")}, "other: {}"),
        ({"r": router("a.com", "options: o")}, f"o: {MUTUAL.replace('/ca', '/ca, /cb')}"),
        ({"r": router("a.com", "options: o")}, f"o: {MUTUAL.replace('RequireAndVerify', 'RequireAny')}"),
        ({"r": router("a.com", "options: o")}, f"o: {MUTUAL.replace('RequireAndVerify', 'Request')}"),
        ({"r": router("a", "options: o", rule="'HostRegexp(`.+`)'")}, f"o: {MUTUAL}"),
        ({"r": router("a", "options: o", rule="'Host(`a.com`) || Path(`/b`)'"), "r-2": ""}, f"o: {MUTUAL}"),
        ({"r": router("a.com", "options: o"), "s": router("a.com", "options: p")}, f"o: {MUTUAL}, p: {{}}"),
        ({"r": router("a.com", "options: o"), "s": router("a.com")}, f"o: {MUTUAL}"),
    ],
)  # fmt: skip
def test_a_router_whose_certificates_of_clients_cannot_be_asked_for_is_closed(
    routers: dict[str, str], options: str
) -> None:
    made = responses(imported_of({name: text for name, text in routers.items() if text}, options))

    assert made == {name: None if name == "s" else 403 for name in routers}


def test_options_of_one_host_that_differ_are_lost_and_close_nothing_where_they_guard_nothing() -> None:
    routers = {"r": router("a.com", "options: o"), "s": router("a.com")}
    imported = imported_of(routers, "o: {minVersion: VersionTLS13}")

    assert responses(imported) == {"r": None, "s": None}
    assert [what for _, what in losses(imported)] == ["tls.options 'o' of router 'r'"]
    assert [each["name"] for each in written(imported)["listen"]] == ["websecure"]


@pytest.mark.parametrize(
    ("suite", "name"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", "ECDHE-RSA-AES256-SHA"),
        ("TLS_RSA_WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("TLS_RSA_WITH_AES_128_CBC_SHA256", "AES128-SHA256"),
        ("TLS_RSA_WITH_RC4_128_SHA", None), ("TLS_FALLBACK_SCSV", None), ("AES", None),
    ],
)  # fmt: skip
def test_cipher_suites_have_the_names_of_openssl(suite: str, name: str | None) -> None:
    assert openssl_name(suite) == name
    if name is not None:
        ssl.create_default_context().set_ciphers(name)


def test_cipher_suites_are_carried_over_all_or_not_at_all() -> None:
    def made(*suites: str) -> tuple[Any, list[str]]:
        imported = imported_of({"r": router("a.com")}, f"default: {{cipherSuites: [{', '.join(suites)}]}}")
        return written(imported)["listen"][0]["tls"].get("ciphers"), [what for _, what in losses(imported)]

    known, of_tls_13 = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"
    assert made(known, of_tls_13) == ("ECDHE-RSA-AES128-GCM-SHA256", [])
    assert made(of_tls_13) == (None, [])
    assert made(known, "TLS_RSA_WITH_RC4_128_SHA") == (None, ["'cipherSuites' of tls.options 'default'"])
