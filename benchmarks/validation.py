"""What `validate` takes for a JSON body of 1 KiB, beside plugins that read the body, and that parse it as well.

Then, for how long the largest body that is allowed by default keeps the loop, in the shapes that take longest.

python -m benchmarks.validation    # microseconds of processor time per request, milliseconds per large body
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path

from gateway_plugin_sdk import Plugin, Request, hookimpl
from gateway_plugin_validate.bodies import Content
from gateway_plugin_validate.config import SHORT_PAUSE
from gateway_plugin_validate.files import Files
from gateway_plugin_validate.media import read_media_type
from gateway_plugin_validate.schemas import Schemas

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


def filled(item: bytes, brackets: bytes = b"[]", size: int = SHORT_PAUSE) -> bytes:
    """Return JSON of up to a size, of one item again and again; ``#`` in it is a number."""
    items = [item.replace(b"#", b"%x" % index) for index in range(size // (len(item) + 1))]
    while len(body := brackets[:1] + b",".join(items) + brackets[1:]) > size:
        del items[len(items) * size // len(body) :]
    return body


def pauses(rounds: int) -> None:
    """Print how long bodies take to be read, to be compared, and to have their errors listed."""
    texts: dict[str, object] = {"type": "array", "items": {"type": "string", "minLength": 3}}
    objects = {"type": "array", "items": {"type": "object", "required": ["a", "b"]}}
    choices = {"type": "array", "items": {"anyOf": [{"const": 5}, {"type": "string", "format": "email"}, objects]}}
    formats = {"type": "array", "items": {"type": "string", "format": "byte"}}
    names = {"type": "object", "propertyNames": {"pattern": "^[g-z]+$"}, "additionalProperties": {"type": "string"}}
    bodies = {
        "nested": filled(b"[" * 60 + b"]" * 60),
        "empty objects": filled(b"{}"),
        "objects": filled(b'{"a":1}'),
        "keys": filled(b'"#":1', b"{}"),
        "integers": filled(b"1"),
        "long integers": filled(b"7" * 309),
        "fractions": filled(b"1e9"),
        "texts": filled(b'""'),
        "escapes": filled(b'"\\u00e9"'),
    }
    sent = read_media_type("application/json")
    assert sent is not None
    for name, body in bodies.items():
        slowest, errors = 0.0, 0
        for schema in (True, texts, objects, choices, formats, names):
            compiled = Schemas(Files(Path("schema"), schema, is_alone=True), "3.1")
            content = Content(compiled, "application/json", {"schema": schema}, compiled.files.main, "request")
            times = []
            for _ in range(rounds):
                start = time.thread_time()
                found = content.failures(body, sent)
                times.append(time.thread_time() - start)
            if min(times) > slowest:
                slowest, errors = min(times), len(found)
        print(f"{f'{name}, body of {len(body)} bytes':40s} {slowest * 1e3:8.2f} ms, {errors} errors")


if __name__ == "__main__":
    asyncio.run(validation(7, 2000))
    pauses(20)
