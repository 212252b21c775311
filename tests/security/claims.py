"""What a client claims must not reach an application as the gateway's word: the attacks, and who reads them."""

from __future__ import annotations

from typing import Any, Final

from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request

ATTACKS: Final[dict[str, bytes]] = {
    "address": b"X-Forwarded-For: evil",
    "address twice": b"X-Forwarded-For: evil\r\nX-Forwarded-For: evil",
    "address, odd case and white space": b"x-FORWARDED-for:\t evil \t",
    "address, underscores": b"X_Forwarded_For: evil",
    "address, one underscore": b"X-Forwarded_For: evil",
    "address, the other underscore": b"X_Forwarded-For: evil",
    "address, dots": b"X.Forwarded.For: evil",
    "address, a mix": b"X~Forwarded_For: evil",
    "address, both": b"X-Forwarded-For: evil\r\nX_Forwarded_For: evil",
    "address, nginx": b"X-Real-IP: evil",
    "address, nginx, underscores": b"X_Real_IP: evil",
    "address, mixed underscores": b"X-Real_Ip: evil",
    "address, others": b"X-Client-IP: evil\r\nClient-IP: evil\r\nTrue-Client-IP: evil\r\nX-Cluster-Client-IP: evil",
    "address, networks": b"CF-Connecting-IP: evil\r\nFastly-Client-IP: evil\r\nX-Azure-ClientIP: evil",
    "address, standard": b"Forwarded: for=evil;proto=https;host=evil",
    "address, WebLogic": b"WL-Proxy-Client-IP: evil\r\nProxy-Client-IP: evil\r\nX-ProxyUser-Ip: evil",
    "scheme": b"X-Forwarded-Proto: evil\r\nX-Forwarded-Scheme: evil\r\nX-Forwarded-Ssl: evil\r\nFront-End-Https: evil",
    "scheme, underscores": b"X_Forwarded_Proto: evil\r\nX_FORWARDED_SSL: evil\r\nFront_End_Https: evil",
    "host": b"X-Forwarded-Host: evil\r\nX-Forwarded-Server: evil\r\nX-Forwarded-Port: 1\r\nX-Host: evil",
    "host, IIS": b"X-Original-Host: evil",
    "prefix": b"X-Forwarded-Prefix: /evil\r\nX-Script-Name: /evil\r\nSCRIPT_NAME: /evil\r\nPATH_INFO: /evil",
    "path": b"X-Original-URL: /evil\r\nX-Rewrite-URL: /evil\r\nX-Forwarded-Uri: /evil\r\nX-Original-Uri: /evil",
    "path, underscores": b"X_Original_URL: /evil\r\nX_REWRITE_URL: /evil",
    "proxy of the environment": b"Proxy: http://evil",
    "user": b"X-Forwarded-User: evil\r\nRemote-User: evil\r\nX-Remote-User: evil\r\nX-Auth-Request-User: evil",
    "certificate": b"X-Forwarded-Client-Cert: evil\r\nSSL-Client-Verify: evil\r\nX-SSL-Client-CN: evil",
    "control of Envoy": b"X-Envoy-Internal: evil\r\nX-Envoy-Upstream-Rq-Timeout-Ms: evil",
    "files of the application": b"X-Accel-Mapping: evil\r\nX-Sendfile-Type: evil",
    "request id": b"X-Request-Id: evil\r\nX_Request_Id: evil\r\nX-Request_Id: evil",
    "length": b"Content_Length: 7777\r\nTransfer_Encoding: evil\r\nContent.Length: 7777",
    "a plugin's field": b"X-User-Id: evil",
    "a plugin's field, underscores": b"X_User_Id: evil",
    "a plugin's field, a mix": b"X-User_Id: evil\r\nX_User-Id: evil\r\nX.User.Id: evil",
    "a plugin's field as the plugin writes it": b"X_User_Id: evil\r\nX-User-Id: alice",
    "a plugin's field, listed": b"Connection: X-User-Id, X_User_Id, X-Seen\r\nX_User_Id: evil",
    "the gateway's fields, listed": b"Connection: X-Forwarded-For, X-Request-Id, Forwarded, Via, Host",
    "listed and disguised": b"Connection: x_forwarded_for\r\nX_Forwarded_For: evil\r\nX-Forwarded-For: evil",
    "stripped": b"X-Tenant: evil\r\nX_Tenant: evil\r\nx.tenant: evil",
    "stripped and listed": b"Connection: X-Tenant\r\nX-Tenant: evil",
    "the field of client_address": b"My-Client: evil\r\nMy_Client: evil",
}  # fmt: skip


class Identifies(Plugin[Any]):
    """Tells the application who the user is, and what an early hook saw."""

    name = "identifies"

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        suspicious = [name for name, value in request.headers.items() if "evil" in value and "user" not in name.lower()]
        request.headers["X-Seen"] = f"{request.client_ip} {request.scheme} {suspicious}"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.headers["X-User-Id"] = "alice"


CONFIG: Final = """
strip_headers: [x-tenant]
trusted_proxies: [192.0.2.1]
client_address: {{header: my-client}}
plugins: [{{name: identifies}}]
routes: [{{id: all, path_prefix: /, target: "http://127.0.0.1:{port}", preserve_host: true}}]
"""


def assert_is_the_gateways(environ: dict[str, str], scheme: str, via: str = "1.1 gateway") -> None:
    assert [name for name, value in environ.items() if "evil" in value or value == "7777"] == []
    assert environ["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert environ["HTTP_X_FORWARDED_PROTO"] == scheme
    assert environ["HTTP_X_FORWARDED_HOST"] == environ["HTTP_HOST"] == "good.example"
    assert environ["HTTP_X_FORWARDED_PORT"] not in {"", "1"}
    assert environ["HTTP_FORWARDED"] == f'for=127.0.0.1;proto={scheme};host="good.example"'
    assert environ["HTTP_VIA"] == via
    assert len(environ["HTTP_X_REQUEST_ID"]) == 32
    assert environ["HTTP_X_USER_ID"] == "alice"
    assert environ["HTTP_X_SEEN"] == f"127.0.0.1 {scheme} []"
    assert "HTTP_X_TENANT" not in environ
    assert (environ.get("SCRIPT_NAME", ""), environ["PATH_INFO"]) == ("", "/")
