"""What `validate` takes for a JSON body of 1 KiB, beside plugins that read the body, and that parse it as well.

python -m benchmarks.validation    # microseconds of processor time per request
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from gateway_plugin_sdk import Plugin, Request, hookimpl

from benchmarks.pipeline import prepare
from benchmarks.plugins import Receiving


class Reads(Plugin[None]):
    """Reads the body."""

    name = "reads"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        """Read."""
        await request.read()


class Parses(Plugin[None]):
    """Reads the body, and parses it."""

    name = "parses"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        """Read and parse."""
        json.loads(await request.read())


async def validation(rounds: int, count: int) -> None:
    fields = {f"field{index}": {"type": "string", "minLength": 1, "maxLength": 100} for index in range(20)}
    body = json.dumps(dict.fromkeys(fields, "x" * 34)).encode()
    with tempfile.TemporaryDirectory() as folder:
        schema = {"type": "object", "required": ["field0"], "additionalProperties": False, "properties": fields}
        media = {"content": {"application/json": {"schema": schema}}}
        parameter = {"name": "id", "in": "path", "schema": {"type": "integer"}}
        operation = {"parameters": [parameter], "requestBody": media, "responses": {"200": {"description": ""}}}
        (Path(folder) / "api.json").write_text(
            json.dumps({"openapi": "3.1.0", "paths": {"/api/users/{id}": {"post": operation}}})
        )
        kinds = {
            "bare": [],
            "reads": ["{name: reads}"],
            "parses": ["{name: parses}"],
            "validate": [f"{{name: validate, config: {{openapi: {folder}/api.json}}}}"],
        }
        head = "POST /api/users/7 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        costs: dict[str, float] = {}
        for name, bindings in kinds.items():
            text = (
                f'routes: [{{id: api, path: "/api/users/:id", respond: {{body: x}}, plugins: [{", ".join(bindings)}]}}]'
            )
            proxy = await prepare(text, [Reads, Parses])
            wire, client = Receiving(), proxy.server_for(proxy.holder.current.config.listen[0].address)()
            client.connection_made(wire)
            times = []
            for _ in range(rounds):
                start = time.process_time()
                for _ in range(count):
                    await wire.receive(1, client, request)
                    await asyncio.sleep(0)
                times.append((time.process_time() - start) / count * 1e6)
            assert wire.written, "there are responses"
            costs[name] = statistics.median(times)
            print(f"{f'{name}, body of {len(body)} bytes':40s} {costs[name]:8.2f} us")


if __name__ == "__main__":
    asyncio.run(validation(7, 2000))
