"""Signatures as the receiver computes them: by botocore over what arrived, and by an S3 that checks them (moto)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from gateway_plugin_sdk.testing import ReceivedRequest, ScriptedUpstream, StartGateway
from gateway_plugin_upstream_auth import UpstreamAuth
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

REGION = "eu-central-1"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KINDS = {
    "s3": {"service": "s3"},
    "s3 with a session": {"service": "s3", "session_token": "of+the/session=="},
    "s3 unsigned": {"service": "s3", "payload": "unsigned"},
    "execute-api": {"service": "execute-api"},
    "another with a session": {"service": "es", "session_token": "token"},
}


def served(url: str, **aws: Any) -> dict[str, Any]:
    config = {"aws": {"access_key_id": "AKIDEXAMPLE", "secret_access_key": SECRET, "region": REGION, **aws}}
    return {
        "upstreams": [
            {"name": "u", "endpoints": [{"url": url}], "plugins": [{"name": "upstream-auth", "config": config}]}
        ],
        "routes": [{"id": "all", "path_prefix": "/", "target": "u"}],
    }


def expected(received: ReceivedRequest, service: str, token: str | None = None) -> str:
    """Return the Authorization that the receiver expects of what arrived."""
    sent = received.headers["authorization"]
    names = sent.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    request = AWSRequest(received.method, f"http://{received.headers['host']}{received.target}", data=received.body)
    for name, value in received.headers.items():
        if name.lower() in names:
            request.headers[name] = value
    request.context["timestamp"] = received.headers["x-amz-date"]
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    auth = kind(Credentials("AKIDEXAMPLE", SECRET, token), service, REGION)
    text = auth.string_to_sign(request, auth.canonical_request(request))
    signed = auth.signed_headers(auth.headers_to_sign(request))
    scope = f"Credential={auth.scope(request)}, SignedHeaders={signed}"
    return f"AWS4-HMAC-SHA256 {scope}, Signature={auth.signature(text, request)}"


# As clients of AWS encode them: every byte but the unreserved ones, and the slash of a path.
SEGMENTS = st.text(st.characters(exclude_characters="/\\", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
PATHS = st.lists(SEGMENTS.filter(lambda text: text.strip(".") != ""), max_size=4).map(
    lambda parts: quote("/" + "/".join(parts), safe="/-_.~")
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
QUERIES = st.lists(st.tuples(TEXTS.filter(bool), TEXTS), max_size=4).map(
    lambda pairs: urlencode(pairs, quote_via=quote)
)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12).map(str.strip)
FIELDS = st.dictionaries(
    st.sampled_from(["X-Amz-Meta-A", "x-amz-meta-a-b", "X-Amz-Acl", "Content-Type", "X-Other", "Accept"]), VALUES
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_is_the_one_that_botocore_computes_over_what_arrived(
    gateway: StartGateway, upstream: ScriptedUpstream, kind: str
) -> None:
    options = KINDS[kind]
    running = gateway(served(upstream.url, **options), plugins=[UpstreamAuth])

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @example(
        "PUT", "/a%20b//c%2Bd/~e", "a=1&a=&A=%2F%20x&prefix=caf%C3%A9", {"X-Amz-Meta-A": "a   b", "Accept": "x"}, b""
    )
    @given(st.sampled_from(["GET", "PUT", "POST", "DELETE"]), PATHS, QUERIES, FIELDS, st.binary(max_size=64))
    def check(method: str, path: str, query: str, fields: dict[str, str], body: bytes) -> None:
        upstream.clear()
        target = f"{path}?{query}" if query else path

        status = running.request(method, target, headers=list(fields.items()), body=body).status

        if status == 400 and not upstream.requests:  # a path that the gateway refuses
            return
        got = upstream.last
        assert status == 200
        assert got.headers.get_all("authorization") == [
            expected(got, str(options["service"]), options.get("session_token"))
        ]
        assert got.headers.get("x-amz-security-token") == options.get("session_token")

    check()


@pytest.mark.parametrize(
    ("payload", "sent", "status"),
    [
        ("signed", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", 415),
        ("signed", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", 415),
        ("unsigned", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", 415),
        ("unsigned", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", 200),
        ("unsigned", "UNSIGNED-PAYLOAD", 200),
        ("signed", "0" * 64, 200),
    ],
)
def test_a_body_in_pieces_goes_on_only_without_signatures_of_the_client(
    gateway: StartGateway, upstream: ScriptedUpstream, payload: str, sent: str, status: int
) -> None:
    running = gateway(served(upstream.url, service="s3", payload=payload), plugins=[UpstreamAuth])
    headers = {"X-Amz-Content-Sha256": sent, "Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": "3"}
    body = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n"

    assert running.request("PUT", "/key", headers=headers, body=body).status == status

    assert len(upstream.requests) == (status == 200)
    if status == 200:
        assert upstream.last.headers.get_all("authorization") == [expected(upstream.last, "s3")]
        if sent.startswith("STREAMING"):
            assert upstream.last.headers.get_all("x-amz-content-sha256") == [sent]


# --- an S3 that checks signatures ----------------------------------------------------------------------------------


@pytest.fixture
def s3() -> Iterator[tuple[str, dict[str, str]]]:
    """A server, and the key of a user of it who may do everything."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()

    def call(method: str, path: str, body: str, service: str) -> bytes:
        connection = HTTPConnection(host, port)
        scope = f"Credential=a/20150830/{REGION}/{service}/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"}
        if service == "iam":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        assert response.status == 200, text
        return text

    try:
        call("POST", "/moto-api/reset", "", "moto")
        call("POST", "/moto-api/reset-auth", "inf", "moto")
        call("POST", "/", "Action=CreateUser&UserName=gateway&Version=2010-05-08", "iam")
        everything = json.dumps(
            {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
        )
        policy = urlencode({"Action": "PutUserPolicy", "UserName": "gateway", "PolicyName": "all"})
        call("POST", "/", f"{policy}&{urlencode({'PolicyDocument': everything})}&Version=2010-05-08", "iam")
        made = call("POST", "/", "Action=CreateAccessKey&UserName=gateway&Version=2010-05-08", "iam").decode()
        key = {
            option: made.partition(f"<{name}>")[2].partition("<")[0]
            for option, name in (("access_key_id", "AccessKeyId"), ("secret_access_key", "SecretAccessKey"))
        }
        call("POST", "/moto-api/reset-auth", "0", "moto")
        yield f"http://{host}:{port}", key
        call("POST", "/moto-api/reset-auth", "inf", "moto")
    finally:
        server.stop()


@pytest.mark.parametrize("payload", ["signed", "unsigned"])
def test_an_s3_that_checks_signatures_takes_what_the_gateway_signs(
    gateway: StartGateway, s3: tuple[str, dict[str, str]], payload: str
) -> None:
    url, key = s3
    running = gateway(served(url, **key, service="s3", payload=payload), plugins=[UpstreamAuth])
    location = (
        f"<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
    )

    assert running.request("PUT", "/bucket", body=location.encode()).status == 200
    for name in ("plain", "with%20space", "caf%C3%A9", "a%2Bb", "dir/of/it"):
        headers = {"Content-Type": "text/plain", "x-amz-meta-colour": "deep   blue"}
        assert running.request("PUT", f"/bucket/{name}", body=name.encode(), headers=headers).status == 200, name
        assert running.get(f"/bucket/{name}").body == name.encode()
    listed = running.get("/bucket?list-type=2&prefix=dir%2F&delimiter=")
    assert (listed.status, b"<Key>dir/of/it</Key>" in listed.body) == (200, True)
    assert running.request("DELETE", "/bucket/plain").status == 204


def test_an_s3_that_checks_signatures_refuses_those_of_another_key(
    gateway: StartGateway, s3: tuple[str, dict[str, str]]
) -> None:
    url, key = s3
    wrong = {**key, "secret_access_key": key["secret_access_key"][::-1]}

    response = gateway(served(url, **wrong, service="s3"), plugins=[UpstreamAuth]).request("PUT", "/bucket")

    assert (response.status, b"SignatureDoesNotMatch" in response.body) == (403, True)
