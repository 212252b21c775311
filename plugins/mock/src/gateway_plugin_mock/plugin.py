"""The plugin: responds in the place of an upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Final

from gateway_openapi.documents import DocumentError, References, read_document, references_in
from gateway_openapi.templates import segments_of
from gateway_plugin_sdk import (
    ConfigFile,
    ConfigFinding,
    HeaderError,
    Plugin,
    PluginContext,
    Request,
    Response,
    hookimpl,
)

from gateway_plugin_mock.config import DelayConfig, MockConfig
from gateway_plugin_mock.operations import Api, Failure, Mocked, Operation
from gateway_plugin_mock.plain import PlainResponse, seconds_of
from gateway_plugin_mock.preferences import read_preferences

_FAILURES: Final[dict[Failure, tuple[int, str]]] = {
    "no-code": (404, "the operation has no response with the status that Prefer asks for"),
    "no-example": (404, "the response has no example of the name that Prefer asks for"),
    "not-acceptable": (406, "the response has no media type that Accept admits"),
    "no-response": (501, "the document has no response of this operation"),
    "no-body": (501, "the document has no example of this media type that can be sent"),
}
_MOST_KEPT: Final = 64
_LONGEST_KEPT: Final = 300
"""Characters of what a client asks for: browsers' Accept has 140."""
_MOST_WARNINGS: Final = 20


class Mock(Plugin[MockConfig]):
    """Responds with what an OpenAPI document has, or the configuration."""

    name = "mock"
    config_model = MockConfig

    def __init__(self, config: MockConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._plain = [PlainResponse(each) for each in config.responses]
        self._api: Api | None = None
        self._known: dict[tuple[str, str | None, str | None], Response] = {}
        self.provides = frozenset() if config.fallthrough else frozenset({"response"})

    @classmethod
    def check_config(cls, config: MockConfig) -> Iterable[ConfigFinding]:
        """Read the document, and find what cannot be meant."""
        if config.openapi is None:
            return
        path, name = ("openapi",), config.openapi
        try:
            document = read_document(name.read_bytes())
            api = Api(document)
        except DocumentError as error:
            yield ConfigFinding(path, f"{name} {error}", code="bad-document")
            return
        references, warnings = References(document), []
        for reference, place in references_in(document).items():
            if not reference.startswith("#"):
                what = f"{place} refers to {reference[:80]!r}, which is not read: nothing is made of it"
                warnings.append((what, "external-reference"))
                continue
            try:
                references.find(reference)
            except KeyError:
                remedy = "correct it, or add what it names"
                yield ConfigFinding(
                    path,
                    f"{name}: {place} refers to {reference[:80]!r}, which is not there: {remedy}",
                    code="bad-reference",
                )
        warnings += [(text, "odd-operation") for text in api.findings()]
        for text, code in warnings[:_MOST_WARNINGS]:
            yield ConfigFinding(path, f"{name}: {text}", code=code, severity="warning")

    async def start(self) -> None:
        """Read the document: in a thread, as a large one takes seconds."""
        if self.config.openapi is not None:
            self._api = await asyncio.to_thread(_compiled, self.config.openapi)

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | Awaitable[Response] | None:
        """Respond with what is mocked."""
        segments = segments_of(request.sent_path)
        for plain in self._plain:
            if plain.takes(request.method, segments):
                return self._after(plain.delay or self.config.delay, plain.response)
        operations = None if self._api is None else self._api.find(segments)
        if operations is None:
            return None if self.config.fallthrough else Response.problem(404, "nothing is mocked at this path")
        operation = operations.get(request.method)
        if operation is None and request.method == "HEAD":
            operation = operations.get("GET")
        if operation is None:
            if self.config.fallthrough:
                return None
            allowed = ", ".join([*operations, *(["HEAD"] if "GET" in operations and "HEAD" not in operations else [])])
            return Response.problem(405, "this method is not mocked at this path", headers={"Allow": allowed})
        return self._after(self.config.delay, self._mocked(request, operation))

    def _mocked(self, request: Request, operation: Operation) -> Response:
        """Return the response of an operation: clients ask for few, so the last ones are kept."""
        headers = request.headers
        prefer = headers.joined("Prefer") if self.config.prefer else None
        accept = headers.joined("Accept")
        key = operation.place, prefer, accept
        response = self._known.get(key)
        if response is None:
            response = self._made(operation, prefer, accept)
            if len(prefer or "") + len(accept or "") <= _LONGEST_KEPT:
                if len(self._known) >= _MOST_KEPT:
                    self._known.clear()
                self._known[key] = response
        return response

    def _made(self, operation: Operation, prefer: str | None, accept: str | None) -> Response:
        assert self._api is not None
        preferences = read_preferences(prefer)
        made = self._api.respond(operation, preferences, accept)
        if not isinstance(made, Mocked):
            response = Response.problem(*_FAILURES[made])
        else:
            response = Response(made.status, made.body)
            for name, value in made.fields:
                try:
                    response.headers.add(name, value)
                except HeaderError:
                    continue  # the document has a value that no field may have
            if preferences.applied:
                response.headers.add("Preference-Applied", preferences.applied)
        response.headers.add_vary("Accept, Prefer" if self.config.prefer else "Accept")
        return response

    def _after(self, delay: DelayConfig | None, response: Response) -> Response | Awaitable[Response]:
        seconds = seconds_of(delay)
        return _later(seconds, response) if seconds else response


def _compiled(file: ConfigFile) -> Api:
    return Api(read_document(file.read_bytes()))


async def _later(seconds: float, response: Response) -> Response:
    await asyncio.sleep(seconds)
    return response
