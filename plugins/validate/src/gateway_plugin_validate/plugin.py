"""The plugin: refuses requests that are not what the document has, and responses if that is wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from gateway_openapi.documents import DocumentError, read_value
from gateway_plugin_sdk import (
    BodyTooLargeError,
    ConfigFinding,
    Plugin,
    PluginContext,
    Request,
    Response,
    hookimpl,
)

from gateway_plugin_validate.bodies import Bodies
from gateway_plugin_validate.config import SHORT_PAUSE, ValidateConfig
from gateway_plugin_validate.files import Files
from gateway_plugin_validate.operations import Api, Operation, read_api
from gateway_plugin_validate.parameters import Parameter
from gateway_plugin_validate.problems import MOST_ERRORS, Failure, Reason
from gateway_plugin_validate.requests import Decision, Expected, expected_body, missing_body, parameter_failures
from gateway_plugin_validate.responses import Watch, body_rule, head_failures
from gateway_plugin_validate.schemas import Schemas

_PAUSE: Final = 1.0
"""Seconds between two log lines of one kind."""
_OPERATION: Final = "validate.operation"


class Validate(Plugin[ValidateConfig]):
    """Validates requests and responses by an OpenAPI document or a JSON Schema.

    Why a request was refused is in ``request.state["validate.refusal"]`` and in
    ``gateway_validate_refusals_total``; the client gets all errors, without values.
    """

    name = "validate"
    config_model = ValidateConfig
    access_control = True

    def __init__(self, config: ValidateConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._api: Api | None = None
        self._operation: Operation | None = None
        self._refuse_unknown = config.unknown_query == "refuse"
        if config.responses == "off":
            self.idle_hooks = frozenset({"gateway_response"})
        self.needs = frozenset({"plain-responses"} if config.responses != "off" else ())
        labels = ("route", "binding", "reason")
        self._refusals = self.metrics.counter(
            "gateway_validate_refusals", "Requests that validate refused, or would in shadow mode.", labels
        )
        self._violations = self.metrics.counter(
            "gateway_validate_response_violations", "Responses that are not what the document has.", labels
        )
        self._logged: dict[str, float] = {}

    @classmethod
    def check_config(cls, config: ValidateConfig) -> Iterable[ConfigFinding]:
        """Compile all that there is."""
        try:
            _compiled(config)
        except DocumentError as error:
            given = ("openapi", "body_schema_file", "body_schema", "parameters")
            key = next(name for name in given if getattr(config, name) not in (None, ()))
            file = config.openapi or config.body_schema_file
            text = str(error) if file is None else f"{file}: {error}"
            yield ConfigFinding((key,), text, code="bad-document")
        if config.max_body_bytes > SHORT_PAUSE:
            text = "bodies of more than 64 KiB may keep a worker from all other requests for more than 10 ms"
            yield ConfigFinding(("max_body_bytes",), text, code="long-pauses", severity="warning")

    async def start(self) -> None:
        """Read and compile the document: in a thread, as a large one takes a while."""
        made = await asyncio.to_thread(_compiled, self.config)
        if isinstance(made, Api):
            self._api = made
        else:
            self._operation = made

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | Awaitable[Response | None] | None:
        """Refuse a request that does not match."""
        if self._api is None:
            operation, path = self._operation, {name: [text] for name, text in request.path_params.items()}
            assert operation is not None, "it has started"
        else:
            segments = request.sent_path.split("/")[1:]
            found = self._find(self._api, request, segments)
            if isinstance(found, Reason):
                return None if self.config.unknown_operations == "pass" else self._refuse(request, found)
            operation, path = found, found.path_texts(segments) if found.path else {}
            if self.config.responses != "off":
                request.state[_OPERATION] = operation
                request.headers["Accept-Encoding"] = "identity"  # what is compressed is not looked at
            if self.config.responses == "enforce":
                request.headers.remove("Range")  # a part cannot be compared
                request.headers.remove("If-Range")
        failures = [*parameter_failures(request, operation, path, refuse_unknown=self._refuse_unknown)]
        body = operation.body
        if body is None and self._api is None:
            return self._decided(request, (), failures)
        limit = self.config.max_body_bytes
        expected = expected_body(request, body, limit) if request.has_body else missing_body(body)
        if not isinstance(expected, Expected):
            return self._decided(request, expected, failures)
        try:
            data = request.read_nowait(expected.limit)
        except BodyTooLargeError:
            return self._refuse(request, expected.too_large)
        if data is None:
            return self._awaited(request, expected, failures)
        return self._decided(request, expected.decide(data), failures)

    def _find(self, api: Api, request: Request, segments: Sequence[str]) -> Operation | Reason:
        operations = api.find(segments)
        if operations is None:
            return Reason(404, "unknown-path", "there is nothing at this path")
        operation = operations.get(request.method)
        if operation is None and request.method == "HEAD":
            operation = operations.get("GET")
        if operation is not None:
            return operation
        allowed = [*operations, *(["HEAD"] if "GET" in operations and "HEAD" not in operations else [])]
        return Reason(405, "unknown-method", "this path has no such method", fields=(("Allow", ", ".join(allowed)),))

    async def _awaited(self, request: Request, body: Expected, failures: list[Failure]) -> Response | None:
        try:
            data = await request.read(body.limit)
        except BodyTooLargeError:
            return self._refuse(request, body.too_large)
        return self._decided(request, body.decide(data), failures)

    def _decided(self, request: Request, found: Decision, failures: list[Failure]) -> Response | None:
        if isinstance(found, Reason):
            return self._refuse(request, found)
        failures += found
        return self._refuse_invalid(request, failures) if failures else None

    def _refuse_invalid(self, request: Request, failures: list[Failure]) -> Response:
        detail = "the request does not match its description"
        return self._refuse(request, Reason(self.config.status, "invalid", detail, tuple(failures)))

    def _refuse(self, request: Request, reason: Reason) -> Response:
        request.state["validate.refusal"] = reason.code
        self._refusals.labels(self._route_of(request), self.context.binding, reason.code).inc()
        members: dict[str, Any] = {}
        if reason.failures:
            members["errors"] = [failure.as_json() for failure in reason.failures[:MOST_ERRORS]]
        return Response.problem(reason.status, reason.detail, headers=reason.fields, **members)

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> Awaitable[Response | None] | Response | None:
        """Look at a response of the upstream."""
        operation = request.state.get(_OPERATION)
        if operation is None or not response.from_upstream:
            return None
        failures = [*head_failures(response, operation)]
        if failures:
            return self._violate(request, failures)
        rule = body_rule(response, operation) if response.has_body else None
        if rule is None or not rule[0].is_read(rule[1].kind):
            return None
        content, sent = rule
        if self.config.responses == "enforce":
            return self._enforced(request, response, operation)

        def look(data: bytes) -> None:
            if found := content.failures(data, sent):
                self._violate(request, found)

        response.add_body_filter(lambda: Watch(self.config.max_body_bytes, look), observe=True)
        return None

    async def _enforced(self, request: Request, response: Response, operation: Operation) -> Response | None:
        rule = body_rule(response, operation)
        assert rule is not None
        if response.headers.get("content-encoding", "identity") != "identity":
            found: Sequence[Failure] = (Failure("body", "", "#", "content-encoding", "is compressed"),)
        else:
            try:
                found = rule[0].failures(await response.read(self.config.max_body_bytes), rule[1])
            except BodyTooLargeError:
                found = (Failure("body", "", "#", "too-large", "is larger than max_body_bytes"),)
        return self._violate(request, found) if found else None

    def _violate(self, request: Request, failures: Sequence[Failure]) -> Response | None:
        first = failures[0]
        self._violations.labels(self._route_of(request), self.context.binding, first.keyword).inc()
        now = self.clock.monotonic()
        if now - self._logged.get(first.keyword, now - _PAUSE) >= _PAUSE:
            self._logged[first.keyword] = now
            self.log.warning(
                "%s, request %s: the response to %s does not match: %s%s of %s %s",
                self.context.binding, request.request_id, request.method, first.where, first.pointer,
                first.name or "the body", first.detail,
            )  # fmt: skip
        if self.config.responses == "shadow":
            return None
        request.state["validate.refusal"] = "invalid-response"
        return Response.problem(502, "the upstream's response does not match its description")

    def _route_of(self, request: Request) -> str:
        return request.route.id if request.route is not None else self.context.route or ""


def _compiled(config: ValidateConfig) -> Api | Operation:
    """Compile what a configuration has.

    :raises DocumentError: something of it cannot be used.
    """
    if config.openapi is not None:
        return read_api(
            config.openapi.read_bytes(),
            config.openapi.path,
            refuse_read_only=config.read_only == "refuse",
            responses=config.responses != "off",
        )
    operation = Operation("configuration")
    files = Files(Path("parameters"), list(config.parameters), is_alone=True)
    schemas = Schemas(files, "3.1")
    operation.add(Parameter(schemas, node, files.main.child(index)) for index, node in enumerate(config.parameters))
    file, schema = config.body_schema_file, config.body_schema
    if file is not None:
        schema = read_value(file.read_bytes())
    if schema is not None:
        path = Path("body_schema") if file is None else file.path
        schemas = Schemas(Files(path, schema, is_alone=file is None), "schema")
        schemas.use_dialect_of(schema)
        # A reference to the document, so that places in problems are those of the file.
        content = {name: {"schema": {"$ref": "#"}} for name in config.content_types}
        node = {"required": config.body_required, "content": content}
        operation.body = Bodies(schemas, node, schemas.files.main, "request")
    return operation
