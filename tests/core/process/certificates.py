"""Certificates for tests, made on the spot."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway_core.config import ListenAddress, ListenConfig
from gateway_core.process import sockets
from gateway_core.process.certificates import load_certificates
from gateway_core.process.first_bytes import MOST_PEEKED, ClientHello, FirstBytes, HelloReader
from gateway_core.process.tls import AddressTls
from gateway_core.tasks import Tasks


@dataclass(frozen=True)
class Pair:
    cert: Path
    key: Path

    def config(self) -> dict[str, str]:
        return {"cert": str(self.cert), "key": str(self.key)}


def make(folder: Path, name: str, *dns: str, key: str = "ec") -> Pair:
    """Make a self-signed certificate for these names, with a key of this kind: ec, rsa or ed25519."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    names = ",".join(f"DNS:{each}" for each in dns or (name,))
    option = {"ec": "ec_paramgen_curve:prime256v1", "rsa": "rsa_keygen_bits:2048"}.get(key)
    kind = ["-newkey", key, *(["-pkeyopt", option] if option else []), "-nodes", "-days", "30"]
    files = ["-keyout", str(pair.key), "-out", str(pair.cert)]
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={names}"]
    subprocess.run(["openssl", "req", "-x509", *kind, *files, *subject], check=True, capture_output=True)
    return pair


def encrypted(pair: Pair) -> Path:
    """Return a file of the same key with a password."""
    path = pair.key.with_suffix(".encrypted")
    command = ["openssl", "pkey", "-in", str(pair.key), "-aes256", "-passout", "pass:word", "-out", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


class Authority:
    """A certificate authority with a folder of its own, which issues, revokes and publishes what it revoked."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.ca = make(folder, "ca")
        self.crl = folder / "crl.pem"
        (folder / "index.txt").touch()
        (folder / "ca.cnf").write_text(
            f"[ca]\ndefault_ca = own\n[own]\ndatabase = {folder}/index.txt\nserial = {folder}/serial\n"
            f"new_certs_dir = {folder}\ncertificate = {self.ca.cert}\nprivate_key = {self.ca.key}\n"
            "default_md = sha256\ndefault_days = 30\npolicy = any\n[any]\ncommonName = supplied\n"
        )

    def issue(self, name: str) -> Pair:
        """Issue a certificate for a name."""
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        request = self._folder / f"{name}.csr"
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files = ["-keyout", str(pair.key), "-out", str(request)]
        _openssl("req", *kind, *files, "-subj", f"/CN={name}")
        self._ca("-batch", "-create_serial", "-rand_serial", "-in", str(request), "-out", str(pair.cert))
        return pair

    def revoke(self, pair: Pair) -> None:
        """Put a certificate on the list that `publish` writes."""
        self._ca("-revoke", str(pair.cert))

    def publish(self, until: str = "20990102030405Z") -> None:
        """Write the revocation list, valid until then."""
        self._ca("-gencrl", "-crl_nextupdate", until, "-out", f"{self.crl}.new")
        Path(f"{self.crl}.new").replace(self.crl)

    def _ca(self, *arguments: str) -> None:
        _openssl("ca", "-config", str(self._folder / "ca.cnf"), *arguments)


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def trusting(pair: Pair, client: Pair | None = None) -> ssl.SSLContext:
    """Return a client's context that trusts one certificate."""
    context = ssl.create_default_context(cafile=str(pair.cert))
    if client is not None:
        context.load_cert_chain(client.cert, client.key)
    return context


def trusting_all(client: Pair | None = None) -> ssl.SSLContext:
    """Return a client's context that trusts everybody."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if client is not None:
        context.load_cert_chain(client.cert, client.key)
    return context


def address_tls(*listeners: ListenConfig) -> AddressTls:
    """Return the TLS of listeners that share an address."""
    return AddressTls([(each, load_certificates(each.tls)) for each in listeners if each.tls is not None])


def use(tls: AddressTls, *listeners: ListenConfig) -> None:
    """Replace the listeners of an address."""
    tls.replace([(each, load_certificates(each.tls)) for each in listeners if each.tls is not None])


def listener(pair: Pair, *hosts: str, **tls: Any) -> ListenConfig:
    """Return a listener with a certificate."""
    return ListenConfig.model_validate({"address": ":443", "hosts": hosts, "tls": {**pair.config(), **tls}})


def server_name(connection: socket.socket) -> str:
    """Wait for a ClientHello, and return the server name in it. Blocks."""
    connection.setblocking(True)
    hello = HelloReader()
    found: FirstBytes | ClientHello = FirstBytes.MORE
    while found is FirstBytes.MORE and (data := connection.recv(MOST_PEEKED, socket.MSG_PEEK)):
        found = hello.read(data)
    connection.setblocking(False)
    return found.server_name if isinstance(found, ClientHello) else ""


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(tls: AddressTls, serve: Serve) -> AsyncIterator[int]:
    """Serve connections with the TLS of an address; yields the port."""
    loop, tasks = asyncio.get_running_loop(), Tasks()
    sock = sockets.bind(ListenAddress("127.0.0.1"), "")

    async def take(connection: socket.socket) -> None:
        reader = asyncio.StreamReader()
        chosen = tls.choose(await asyncio.to_thread(server_name, connection))
        if chosen is None:
            connection.close()
            return
        with contextlib.suppress(OSError):
            await loop.connect_accepted_socket(
                lambda: asyncio.StreamReaderProtocol(reader, serve), connection, ssl=chosen.context
            )

    async def accept() -> None:
        while True:
            connection, _ = await loop.sock_accept(sock)
            tasks.spawn(take(connection), name="take")

    tasks.spawn(accept(), name="accept")
    yield sock.getsockname()[1]
    await tasks.aclose()
    sock.close()
