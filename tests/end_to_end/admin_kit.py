"""What tests of the admin API share: requests over the control socket of the one gateway that runs."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any


class Api:
    """Requests over the control socket."""

    def __init__(self, runtime: Path) -> None:
        self._runtime = runtime

    async def __call__(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        return await asyncio.to_thread(self._send, method, path, body, headers or {})

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        (file,) = (self._runtime / "gateway").glob("*.sock")
        connection = http.client.HTTPConnection("gateway", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(60)
        # The path may be longer than the address of a socket.
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            connection.sock.connect(f"/proc/self/fd/{folder}/{file.name}")
        finally:
            os.close(folder)
        fields = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, f"/api/v1/{path}", body if body is None else json.dumps(body), {**fields, **headers})
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, json.loads(content), dict(response.headers)
