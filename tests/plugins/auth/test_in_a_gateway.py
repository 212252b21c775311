"""Hostile credentials on the wire: what only shows with a real gateway and a real head."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any

import pytest
from gateway_plugin_sdk.testing import ScriptedUpstream, one_route

CLAIMS = {"sub": "alice", "exp": 4_000_000_000}


def segment(data: Any) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(secret: str, claims: Any = CLAIMS, header: Any = None) -> str:
    text = f"{segment(header or {'alg': 'HS256'})}.{segment(claims)}"
    return f"{text}.{segment(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def send(running: Any, *fields: bytes, target: str = "/") -> tuple[int, bytes]:
    lines = b"".join(field + b"\r\n" for field in fields)
    answer = running.raw(b"GET %b HTTP/1.1\r\nHost: a\r\n%bConnection: close\r\n\r\n" % (target.encode(), lines))
    return int(answer[9:12]), answer


@pytest.fixture
def running(gateway: Any, upstream: Any, secret: str) -> Any:
    places = [{"header": "Authorization", "scheme": "Bearer"}, {"cookie": "t"}, {"query": "t"}]
    return gateway(one_route(upstream.url, {"name": "auth", "config": {"secret": secret, "token_from": places}}))


def test_the_scheme_has_any_case_and_spaces_behind_it(running: Any, secret: str) -> None:
    good = signed(secret).encode()

    for scheme in (b"Bearer ", b"bearer ", b"BEARER   "):
        assert send(running, b"Authorization: " + scheme + good)[0] == 200


@pytest.mark.parametrize(
    "value",
    [b"", b"Bearer", b"Bearer ", b"Bearer:%b", b"Bearer\t%b", b"Bearer=%b", b"Token %b", b"JWT %b", b"%b",
     b"Bearerx %b", b"XBearer %b", b"Bearer\xa0%b", b"Bearer Bearer %b", b"Bearer %b, Bearer %b",
     b"Basic eDp5, Bearer %b", b'Bearer "%b"',
     b"Bearer %b;x=1", b"Bearer %b=", b"Bearer \xef\xbb\xbf%b", b"Bearer %b\xff", b"Bearer <%b>"],
)  # fmt: skip
def test_what_is_no_bearer_token_is_refused_with_a_challenge(running: Any, secret: str, value: bytes) -> None:
    status, answer = send(running, b"Authorization: " + value.replace(b"%b", signed(secret).encode()))

    assert status == 401
    assert b'\r\nwww-authenticate: bearer realm="' in answer.lower()


@pytest.mark.one_protocol(reason="heads over HTTP/1 that are refused")
def test_bytes_that_no_field_has_are_refused_before_anybody_reads_them(running: Any, secret: str) -> None:
    good = signed(secret).encode()

    for value in (good + b"\0", b"\0" + good, good + b"\rx", good + b"\x0b", b"\x7f" + good):
        assert send(running, b"Authorization: Bearer " + value)[0] in {400, 401}
    assert send(running, b"Authorization: Bearer\r\n " + good)[0] == 400
    assert send(running, b"Authorization : Bearer " + good)[0] == 400


def test_credentials_in_two_fields_are_refused(running: Any, secret: str) -> None:
    good = b"Bearer " + signed(secret).encode()

    for other in (good, b"Bearer x", b"Basic eDp5", b"", b"Bearer"):
        assert send(running, b"Authorization: " + good, b"AUTHORIZATION: " + other)[0] == 401
        assert send(running, b"Authorization: " + other, b"authorization: " + good)[0] == 401


def test_fields_and_parameters_of_like_names_are_not_looked_at(running: Any, secret: str) -> None:
    good = signed(secret).encode()

    for name in (b"Proxy-Authorization", b"X-Authorization", b"Authorization_", b"Cookie2"):
        assert send(running, name + b": Bearer " + good)[0] in {400, 401}
    assert send(running, b"Cookie: T=%b; xt=%b; t =" % (good, good))[0] == 401
    assert send(running, target=f"/?T={good.decode()}&access_token={good.decode()}")[0] == 401


def test_the_first_place_with_a_token_counts_and_a_wrong_one_there_is_not_made_up_for(
    running: Any, secret: str
) -> None:
    good = signed(secret).encode()
    cookie, query = b"Cookie: t=" + good, f"/?t={good.decode()}"

    assert send(running, cookie)[0] == send(running, target=query)[0] == 200
    assert send(running, b"Authorization: Bearer " + good, b"Cookie: t=x")[0] == 200
    assert send(running, b"Authorization: Bearer x", cookie, target=query)[0] == 401
    assert send(running, b"Cookie: t=x", target=query)[0] == 401
    assert send(running, b"Cookie: t=%b; t=%b" % (good, good))[0] == 401
    assert send(running, target=f"{query}&%74=x")[0] == 401


@pytest.mark.parametrize("header", [b"", b"Bearer", b"bearer  ", b"Basic eDp5"])
@pytest.mark.parametrize("cookie", [b"", b"t=", b't=""', b"t= ", b"t", b"t=; t=", b"a=b; t=;c=d", b";;=;"])
def test_a_place_that_is_empty_does_not_hide_a_token_in_the_next_one(
    running: Any, secret: str, header: bytes, cookie: bytes
) -> None:
    good = signed(secret)

    fields = b"Authorization: " + header, b"Cookie: " + cookie
    assert send(running, *fields, target=f"/?t={good}")[0] == 200
    assert send(running, *fields, target=f"/?t=&t={good}&t")[0] == 200
    assert send(running, fields[0], b"Cookie: t=%b; %b" % (good.encode(), cookie))[0] == 200
    assert send(running, *fields, target="/?t=")[0] == 401


def test_keys_that_cannot_be_had_are_no_fault_of_the_client(gateway: Any, upstream: Any, secret: str) -> None:
    away = {"issuer": "http://127.0.0.1:9/realm", "discovery": True}
    running = gateway(one_route(upstream.url, {"name": "auth", "config": away}))

    token = signed(secret, {**CLAIMS, "iss": "http://127.0.0.1:9/realm"}).encode()
    status, answer = send(running, b"Authorization: Bearer " + token)

    assert status == 503
    assert b"\r\nRetry-After: " in answer
    assert b"WWW-Authenticate" not in answer
    assert b"127.0.0.1" not in answer
    assert send(running)[0] == 401
    assert send(running, b"Authorization: Bearer x")[0] == 401


@pytest.mark.one_protocol(reason="the limit of heads over HTTP/1")
@pytest.mark.parametrize("token", ["a" * 20_000, "." * 20_000, "a." * 10_000, "a" * 1_000_000])
def test_tokens_beyond_every_measure_cost_an_answer_and_nothing_else(running: Any, secret: str, token: str) -> None:
    assert send(running, b"Authorization: Bearer " + token.encode())[0] in {401, 431}
    assert send(running, b"Authorization: Bearer " + signed(secret).encode())[0] == 200


def confused(keys: Any) -> Iterable[str]:
    """Tokens whose secret is what everybody knows, or what a path or query in place of a key's id may give."""
    public = [keys.pem(key) for key in (keys.rsa, keys.p256, keys.ed25519)]
    for text in [*public, *(pem.replace("\n", "") for pem in public), "", "\0", "null", "secret"]:
        for kid in (None, "r", "../../dev/null", "' OR 1=1 --", "\0"):
            yield signed(text, header={"alg": "HS256", **({"kid": kid} if kid is not None else {})})


def malformed(secret: str) -> Iterable[str]:
    """Tokens of the classes that libraries were fooled by."""
    good = signed(secret)
    head, claims, signature = good.split(".")
    for name in ("none", "None", "nOnE", "", "HS256\0", "HS1", "ES256K", "dir", "RSA-OAEP"):
        for forged in ("", segment(b"x" * 32), signature):
            yield f"{segment({'alg': name})}.{claims}.{forged}"
    for number in ("1e400", "NaN", "-Infinity", "true", '"9"', "-1", "0", "null", "[]", "9" * 400):
        for name in ("exp", "nbf", "iat"):
            if (name, number) not in {("nbf", "-1"), ("nbf", "0"), ("iat", "-1"), ("iat", "0")}:
                yield signed(secret, f'{{"{name}":{number}}}'.encode())
    for size in (64, 96, 132):
        for byte in (0, 255):
            yield f"{segment({'alg': 'ES256', 'kid': 'p'})}.{claims}.{segment(bytes([byte]) * size)}"
    for size in (0, 255, 256, 257):
        yield f"{segment({'alg': 'RS256', 'kid': 'r'})}.{claims}.{segment(bytes(size))}"
    yield from (f"{good}.{signature}", f"{head}.{claims}", f"{good}=", f"{head}.{claims}.{signature}A", f".{good}")
    yield from (segment({"payload": claims, "protected": head, "signature": signature}), f"{head}..{signature}")


def test_hundreds_of_hostile_tokens_are_refused_by_every_kind_of_key(
    gateway: Any, upstream: Any, secret: str, keys: Any, sign: Any
) -> None:
    members = [keys.jwk(keys.rsa, kid="r"), keys.jwk(keys.p256, kid="p"), keys.jwk(keys.ed25519, kid="e")]
    configs: dict[str, Any] = {
        "secret": {"secret": secret},
        "pem": {"public_key": keys.pem(keys.rsa)},
        "set": {"jwks": {"keys": members}},
        "tree": {"providers": {"a": {"scheme": "jwt", "secret": secret, "issuer": "i"},
                               "b": {"scheme": "jwt", "jwks": {"keys": members}}}},
    }  # fmt: skip
    config = one_route(upstream.url)
    config["routes"] = [
        {"id": name, "path_prefix": f"/{name}", "target": upstream.url, "plugins": [{"name": "auth", "config": each}]}
        for name, each in configs.items()
    ]
    running = gateway(config)
    tokens = [*confused(keys), *malformed(secret)]
    assert len(tokens) > 100

    for name in configs:
        for token in tokens:
            answer = running.get(f"/{name}", headers={"Authorization": f"Bearer {token}"})
            assert answer.status == 401, (name, token)
    assert running.get("/secret", headers={"Authorization": f"Bearer {signed(secret)}"}).status == 200
    assert (
        running.get("/set", headers={"Authorization": f"Bearer {sign(keys.p256, 'ES256', {'kid': 'p'})}"}).status == 200
    )


def tells(upstream: Any) -> list[tuple[str, str]]:
    """What the last request told an application of its caller, in whatever spelling."""
    return [
        (name.lower(), value)
        for name, value in upstream.last.headers.items()
        if name.lower().replace("_", "-").replace(".", "-") in {"x-user", "x-token-payload"}
    ]


@pytest.mark.one_protocol(reason="fields that Connection names")
@pytest.mark.parametrize("name", [b"X-User", b"x_user", b"X.USER", b"X-Token-Payload", b"x_token_payload"])
@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ({}, {"require": {"optional": "jwt"}}), ({}, {"require": {"attempt": "jwt"}}), ({"mode": "shadow"}, {}),
        ({}, {"require": {"optional": "jwt"}, "anonymous": "guest"}), ({}, {"allow_preflight": True}),
        ({"mode": "shadow", "on_error": "continue", "quarantine": {"failures": 1}}, {}),
    ],
)  # fmt: skip
def test_no_client_names_itself_to_the_upstream(
    gateway: Any, upstream: Any, secret: str, name: bytes, policy: Any, options: Any
) -> None:
    config = {"secret": secret, "claims_to_headers": {"X-User": "sub"}, "payload_header": "X-Token-Payload", **options}
    running = gateway(one_route(upstream.url, {"name": "auth", **policy, "config": config}))
    preflight = b"OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: https://b\r\nAccess-Control-Request-Method: PUT\r\n"

    for start in (b"GET / HTTP/1.1\r\nHost: a\r\n", preflight):
        for more in (b"", b"Connection: %b\r\n" % name, b"%b: twice\r\n" % name):
            upstream.requests.clear()
            head = b"%b%b: root\r\n%bConnection: close\r\n\r\n" % (start, name, more)
            if b" 200 " in running.raw(head)[:13] and upstream.requests:
                assert tells(upstream) == []
    send(running, name + b": root", b"Authorization: Bearer " + signed(secret).encode(), b"Connection: " + name)
    told = dict(tells(upstream))
    assert told.get("x-user") == (None if policy else "alice")


def test_copies_for_a_mirror_come_without_what_auth_accepts_as_credentials(gateway: Any, upstream: Any) -> None:
    places = [{"header": "X-Partner"}, {"query": "key"}]
    config = {"providers": {"apps": {"scheme": "api-key", "key_from": places, "keys": [{"subject": "a", "key": "k1"}]}}}
    with ScriptedUpstream() as mirror:
        route = {"id": "it", "path_prefix": "/", "target": upstream.url, "mirror": {"target": mirror.url}}
        running = gateway({"routes": [route | {"plugins": [{"name": "auth", "config": config}]}]})

        for field, target in ((b"X-Partner: k1", "/?a=1"), (b"X-Other: 1", "/?key=k1&a=1")):
            assert send(running, field, target=target)[0] == 200
        mirror.wait_for(2)

    assert [each.headers.get("X-Partner") for each in upstream.requests] == ["k1", None]
    assert sorted(each.target for each in upstream.requests) == ["/?a=1", "/?key=k1&a=1"]
    assert [each.headers.get("X-Partner") for each in mirror.requests] == [None, None]
    assert [each.target for each in mirror.requests] == ["/?a=1", "/?a=1"]
