r"""A service in another process, whose time does not count, that gives the same response to every request.

    with service(b"HTTP/1.1 204 No Content\r\n\r\n") as url: ...

The process is this module, with the response on its standard input; it prints its port.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop


class _Service(asyncio.Protocol):
    """Requests have no body, and come one at a time."""

    def __init__(self, response: bytes) -> None:
        self._response = response

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(self._response)


async def _serve(response: bytes) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Service(response), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def service(response: bytes) -> Iterator[str]:
    """Run the service until the block ends; return its URL."""
    command = [sys.executable, "-m", "benchmarks.service"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None, "it is a pipe"
        assert process.stdout is not None, "it is a pipe"
        try:
            process.stdin.write(response)
            process.stdin.close()
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


if __name__ == "__main__":
    uvloop.run(_serve(sys.stdin.buffer.read()))
