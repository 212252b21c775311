"""Instances of the plugin, requests for them, and keys and tokens of every kind, without a gateway around."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import json
import logging
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from gateway_core.messages.headers import headers_of_block
from gateway_plugin_auth import Auth, AuthConfig
from gateway_plugin_sdk import Headers, Metrics, PluginContext, Request, Response
from gateway_plugin_sdk.testing import ManualClock

from tests.plugins.repeated_request import RepeatedRequest

NOW = 1_700_000_000.0
SECRET = "an-hmac-secret-of-more-than-64-bytes-so-that-it-is-enough-for-HS512-too"


class Visit:
    """A request that auth has seen, and what it said."""

    def __init__(self, request: Request, response: Response | None) -> None:
        self.request = request
        self.response = response

    @property
    def status(self) -> int:
        """200 stands for: it may go on."""
        return 200 if self.response is None else self.response.status

    @property
    def reason(self) -> str | None:
        value: str | None = self.request.state.get("auth.refusal")
        return value

    @property
    def subject(self) -> str | None:
        return self.request.identity.subject if self.request.identity is not None else None

    @property
    def challenge(self) -> str:
        assert self.response is not None
        return ", ".join(self.response.headers.get_all("www-authenticate"))


class Gate:
    """One instance of the plugin."""

    def __init__(self, plugin: Auth, clock: ManualClock) -> None:
        self.plugin = plugin
        self.clock = clock

    async def visit(
        self,
        token: str | None = None,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        target: str = "/",
        method: str = "GET",
        client_ip: str = "192.0.2.1",
        repeated: dict[Hashable, Any] | None = None,
    ) -> Visit:
        """Send a request, with ``token`` as a bearer token, and with what is remembered of its head."""
        fields = Headers([("Host", "a.example")])
        if token is not None:
            fields.add("Authorization", f"Bearer {token}")
        fields.extend(headers)
        request = RepeatedRequest(
            method, target, headers=fields, host="a.example", request_id="r-1", client_ip=client_ip
        )
        request.memory = repeated
        result: Any = self.plugin.gateway_pre_proxy(request)
        if isinstance(result, Awaitable):
            result = await result
        assert result is None or isinstance(result, Response)
        return Visit(request, result)


MakeGate = Callable[..., Awaitable[Gate]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=NOW)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def context(clock: ManualClock, metrics: Metrics) -> PluginContext:
    return PluginContext("auth", "a-route", clock, logging.getLogger("gateway.plugin.auth"), metrics)


@pytest.fixture
async def make_gate(clock: ManualClock, context: PluginContext) -> AsyncIterator[MakeGate]:
    """A function that starts the plugin with a configuration; it is stopped at the end."""
    started: list[Auth] = []

    async def make(config: Mapping[str, Any] | None = None, **options: Any) -> Gate:
        plugin = Auth(AuthConfig.model_validate({**(config or {}), **options}), context)
        started.append(plugin)
        await plugin.start()
        return Gate(plugin, clock)

    yield make
    for plugin in started:
        await plugin.stop()


@pytest.fixture
def secret() -> str:
    return SECRET


@pytest.fixture
def sign() -> Callable[..., str]:
    """A function that signs claims; by default with the secret and HS256."""

    def make(key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
        return jwt.encode({"sub": "alice", **claims}, key, algorithm, headers)

    return make


def b64(data: bytes | str | Mapping[str, Any]) -> str:
    """Encode as base64url without padding; a mapping as JSON."""
    if isinstance(data, Mapping):
        data = json.dumps(data, separators=(",", ":"))
    encoded = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(encoded).rstrip(b"=").decode()


@pytest.fixture(name="b64")
def b64_fixture() -> Callable[..., str]:
    return b64


class Keys:
    """Private keys, made once."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.other_rsa = rsa.generate_private_key(65537, 2048)
        self.p256 = ec.generate_private_key(ec.SECP256R1())
        self.p384 = ec.generate_private_key(ec.SECP384R1())
        self.p521 = ec.generate_private_key(ec.SECP521R1())
        self.ed25519 = ed25519.Ed25519PrivateKey.generate()
        self.ed448 = ed448.Ed448PrivateKey.generate()

    @staticmethod
    def pem(key: Any) -> str:
        """The public part in PEM."""
        text: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return text.decode()

    @staticmethod
    def jwk(key: Any, **members: Any) -> dict[str, Any]:
        """The public part as a JWK."""
        kinds = {
            "RSA": jwt.algorithms.RSAAlgorithm,
            "EC": jwt.algorithms.ECAlgorithm,
            "Ed": jwt.algorithms.OKPAlgorithm,
        }
        name = type(key).__name__
        kind: Any = next(kind for prefix, kind in kinds.items() if name.startswith(prefix))
        made = {name: value for name, value in kind.to_jwk(key.public_key(), as_dict=True).items() if name != "key_ops"}
        return {**made, **members}


@pytest.fixture(scope="session")
def keys() -> Keys:
    return Keys()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Wait for something that another task does."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.005)

    return wait


class KeyServer:
    """A real server whose documents a test sets; it counts who asks."""

    def __init__(self) -> None:
        self.documents: dict[str, str | bytes] = {}
        self.headers: dict[str, str] = {}
        self.status = 200
        self.requests: list[web.BaseRequest] = []
        self.url = ""

    def set_jwks(self, *members: Mapping[str, Any], path: str = "/jwks") -> None:
        self.documents[path] = json.dumps({"keys": list(members)})

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        document = self.documents.get(request.path)
        if document is None or self.status != 200:
            return web.Response(status=404 if self.status == 200 else self.status, headers=self.headers)
        body = document.encode() if isinstance(document, str) else document
        return web.Response(body=body, headers=self.headers)


@pytest.fixture
async def key_server() -> AsyncIterator[KeyServer]:
    server = KeyServer()
    runner = web.ServerRunner(web.Server(server.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
def sync_gate(context: PluginContext) -> Callable[..., Callable[[str], int]]:
    """A function that makes a function from a value of Authorization (latin-1 bytes) to a status."""

    def make(**options: Any) -> Callable[[str], int]:
        plugin = Auth(AuthConfig.model_validate(options), context)

        def status(value: str) -> int:
            line = b"\r\nAuthorization: " + value.translate({10: 32, 13: 32, 0: 32}).encode("latin-1", "replace")
            result = plugin.gateway_pre_proxy(Request("GET", "/", headers=headers_of_block(b"\r\nHost: a" + line)))
            assert result is None or isinstance(result, Response)
            return 200 if result is None else result.status

        return status

    return make


@pytest.fixture
async def stalling_server() -> AsyncIterator[Callable[[bytes], Awaitable[str]]]:
    """A function that starts a server, which sends some bytes and then nothing, and returns its URL."""
    servers: list[asyncio.Server] = []
    open_connections: set[asyncio.StreamWriter] = set()
    all_closed = asyncio.Event()

    async def start(first: bytes) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            open_connections.add(writer)
            all_closed.clear()
            writer.write(first)
            await reader.read()
            writer.close()
            await writer.wait_closed()
            open_connections.discard(writer)
            all_closed.set()

        servers.append(await asyncio.start_server(serve, "127.0.0.1", 0))
        return f"http://127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}/"

    yield start
    for server in servers:
        server.close()
    while open_connections:
        await all_closed.wait()


@pytest.fixture(scope="session")
def openssl() -> str:
    """The program, which is installed where it is missing."""
    if shutil.which("openssl") is None:
        subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", "openssl"], check=True)
    path = shutil.which("openssl")
    assert path is not None
    return path


@pytest.fixture
def write_certificate(keys: Keys) -> Callable[[Path], tuple[Path, Path]]:
    """A function that writes a certificate of this machine and its key into a folder."""

    def write(folder: Path) -> tuple[Path, Path]:
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "keys")])
        day = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        builder = x509.CertificateBuilder(name, name, keys.p256.public_key(), 1, day, day + datetime.timedelta(36500))
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = builder.add_extension(names, critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate, key = folder / "cert.pem", folder / "key.pem"
        certificate.write_bytes(builder.sign(keys.p256, hashes.SHA256()).public_bytes(Encoding.PEM))
        key.write_bytes(keys.p256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return certificate, key

    return write
