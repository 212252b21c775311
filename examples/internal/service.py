"""The service: keeps how many there are of each thing. ``python service.py PORT``.

Messages are plain UTF-8 (``apples=7``) rather than protocol buffers, so that nothing has to be compiled.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

CERTIFICATES = Path(__file__).parent / "certificates"


class Stock(grpc.GenericRpcHandler):
    def __init__(self) -> None:
        self.amounts = {"apples": 3}

    def service(self, details: Any) -> Any:
        methods = {
            "/stock.v1.Stock/Get": self.get,
            "/stock.v1.Stock/Put": self.put,
            "/grpc.health.v1.Health/Check": self.check,
        }
        method = methods.get(details.method)
        return None if method is None else grpc.unary_unary_rpc_method_handler(method)

    async def get(self, name: bytes, context: Any) -> bytes:
        amount = self.amounts.get(name.decode())
        if amount is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such thing")
        return str(amount).encode()

    async def put(self, message: bytes, _: Any) -> bytes:
        name, _, amount = message.decode().partition("=")
        self.amounts[name] = int(amount)
        return b"stored"

    async def check(self, _: bytes, __: Any) -> bytes:
        return b"\x08\x01"  # HealthCheckResponse with status SERVING


async def serve(port: int) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Stock(),))
    pair = ((CERTIFICATES / "stock.key").read_bytes(), (CERTIFICATES / "stock.crt").read_bytes())
    authority = (CERTIFICATES / "ca.crt").read_bytes()
    # Only the gateway has a certificate that this authority signed and that the service is reached with.
    credentials = grpc.ssl_server_credentials([pair], authority, require_client_auth=True)
    server.add_secure_port(f"127.0.0.1:{port}", credentials)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
