"""The plugin in the harness of the SDK, and keys and tokens of every kind."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import json
import logging
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from gateway_plugin_auth import Auth
from gateway_plugin_sdk import ConfigModel, Metrics, Plugin, PluginContext, hookimpl
from gateway_plugin_sdk.testing import HarnessResult, ManualClock, PluginHarness

NOW = 1_700_000_000.0
CONTROLS = bytes([*range(9), *range(10, 32), 127])
"""Bytes that no field has: the gateway refuses such a head before any plugin sees it."""
SECRET = "an-hmac-secret-of-more-than-64-bytes-so-that-it-is-enough-for-HS512-too"


class Visit:
    """What became of a request."""

    def __init__(self, result: HarnessResult) -> None:
        self.request = result.request
        self.response = result.response
        self.status = result.response.status
        """200 stands for: it may go on."""

    @property
    def reason(self) -> str | None:
        value: str | None = self.request.state.get("auth.refusal")
        return value

    @property
    def subject(self) -> str | None:
        return self.request.identity.subject if self.request.identity is not None else None

    @property
    def challenge(self) -> str:
        return ", ".join(self.response.headers.get_all("www-authenticate"))


class AuthHarness(PluginHarness[Auth]):
    """The plugin in a harness of the SDK, for tests that have servers in their own event loop."""

    clock: ManualClock
    clients = ThreadPoolExecutor(512)

    def __init__(self, config: Mapping[str, Any], clock: ManualClock) -> None:
        class Counter(Plugin[ConfigModel]):
            """Counts the requests that come to auth."""

            name = "counter"
            config_model = ConfigModel
            requests = 0

            @hookimpl
            def gateway_pre_proxy(self) -> None:
                Counter.requests += 1

        self._counter = Counter
        super().__init__(Auth, config, clock=clock, beside=(Counter,))

    @property
    def begun(self) -> int:
        """How many requests have come to auth."""
        return self._counter.requests

    async def visit(
        self,
        token: str | None = None,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        target: str = "/",
        method: str = "GET",
        client_ip: str = "192.0.2.1",
    ) -> Visit:
        """Send a request, with ``token`` as a bearer token."""
        fields = [] if token is None else [("Authorization", f"Bearer {token}")]
        fields += headers.items() if isinstance(headers, Mapping) else headers
        send = partial(self.request, method, target, headers=fields, client_ip=client_ip, host="a.example")
        return Visit(await asyncio.get_running_loop().run_in_executor(self.clients, send))


MakeGate = Callable[..., Awaitable[AuthHarness]]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=NOW)


@pytest.fixture
def context(clock: ManualClock) -> PluginContext:
    return PluginContext("auth", "a-route", clock, logging.getLogger("gateway.plugin.auth"), Metrics())


@pytest.fixture
async def make_gate(clock: ManualClock) -> AsyncIterator[MakeGate]:
    """A function that starts the plugin with a configuration; it is stopped at the end."""
    started: list[AuthHarness] = []

    async def make(config: Mapping[str, Any] | None = None, **options: Any) -> AuthHarness:
        harness = AuthHarness({**(config or {}), **options}, clock)
        started.append(harness)
        await asyncio.to_thread(harness.start)
        return harness

    yield make
    for harness in started:
        await asyncio.to_thread(harness.stop)


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
        async with asyncio.timeout(30):
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
def sync_gate(clock: ManualClock) -> Iterator[Callable[..., Callable[[str], int]]]:
    """A function that makes a function from a value of Authorization (latin-1 bytes) to a status."""
    with ExitStack() as running:

        def make(**options: Any) -> Callable[[str], int]:
            harness = running.enter_context(PluginHarness(Auth, options, clock=clock))

            def status(value: str) -> int:
                text = value.encode("latin-1", "replace").translate(None, CONTROLS).decode("latin-1")
                return harness.request(headers=[("Authorization", text)]).response.status

            return status

        yield make


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
