"""Serves the operations of the admin API: finds, checks, validates, carries out, and writes the audit log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from gateway_core.admin.access import SAFE_METHODS, Caller
from gateway_core.admin.gate import Gate, check_role
from gateway_core.admin.operation import Call, Operation, Routes
from gateway_core.admin.replies import EventStream, Reply, refusal_reply
from gateway_core.admin.view import AdminView
from gateway_core.config import AdminRole
from gateway_core.errors import GatewayError, RefusedError
from gateway_core.events import ADMIN_WRITE, emit
from gateway_core.tasks import spawn

READ_TIMEOUT: Final = 30.0
"""Seconds from one part of a body to the next."""


class Api:
    """The operations at one address."""

    def __init__(self, routes: Routes, view: AdminView, gate: Gate) -> None:
        self._routes = routes
        self._view = view
        self._gate = gate

    async def serve(self, request: web.BaseRequest) -> Reply | EventStream:
        """Carry out what a request names; whatever keeps it from that becomes a problem."""
        try:
            caller = await self._gate.admit(request)
            operation, path = self._find(request)
            role = await operation.role_for(self._view, path)
        except (RefusedError, GatewayError) as error:
            return _failure_reply(error)
        if role == "viewer":
            return await self._respond(operation, request, caller, role, path)
        # It goes on when the client leaves, and what became of it is written down whether it has left or not.
        work = spawn(self._write(operation, request, caller, role, path), name=f"{operation.method} {operation.path}")
        return await asyncio.shield(work)

    def _find(self, request: web.BaseRequest) -> tuple[Operation, Mapping[str, str]]:
        found = self._routes.find(request.raw_path.partition("?")[0])
        if found is None:
            raise RefusedError(404, "not-found", "the API has no such path")
        methods, path = found
        operation = methods.get("GET" if request.method == "HEAD" else request.method)
        if operation is None:
            allowed = {*methods, *(["HEAD"] if "GET" in methods else [])}
            detail = f"this path takes {', '.join(sorted(allowed))}"
            raise RefusedError(405, "method-not-allowed", detail, {"Allow": ", ".join(sorted(allowed))})
        return operation, path

    async def _write(
        self, operation: Operation, request: web.BaseRequest, caller: Caller, role: AdminRole, path: Mapping[str, str]
    ) -> Reply | EventStream:
        status = 500  # of what raises: a defect, or a client that has left in the middle of the body
        try:
            reply = await self._respond(operation, request, caller, role, path)
            status = reply.status
        finally:
            target = request.raw_path[:200]
            how = f"{caller.how} {caller.token}".rstrip()
            emit(
                ADMIN_WRITE,
                f"{caller.name} ({caller.role}, {how}): {operation.method} {target}: {status}",
                caller=caller.name,
                role=caller.role,
                how=caller.how,
                token=caller.token or None,
                method=operation.method,
                target=target,
                status=status,
                client=request.remote or "unix",
            )
        return reply

    async def _respond(
        self, operation: Operation, request: web.BaseRequest, caller: Caller, role: AdminRole, path: Mapping[str, str]
    ) -> Reply | EventStream:
        try:
            check_role(caller, role)
            query = read_query(operation, request)
            body = await read_body(operation, request)
            return await operation.handle(Call(request, self._view, caller, path, query, body, self._gate))
        except (RefusedError, GatewayError) as error:
            return _failure_reply(error)


def _failure_reply(error: RefusedError | GatewayError) -> Reply:
    if isinstance(error, GatewayError):
        error = RefusedError(503, "unavailable", str(error))
    return refusal_reply(error)


def read_query(operation: Operation, request: web.BaseRequest) -> Any:
    """Return the query parameters of a request.

    :raises RefusedError: one is unknown, given twice, or of another type.
    """
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            raise RefusedError(422, "invalid", f"query parameter {name[:100]!r} is given twice")
        given[name] = value
    try:
        return operation.query.model_validate(given)
    except ValidationError as error:
        raise _invalid(error, "query parameter ") from error


async def read_body(operation: Operation, request: web.BaseRequest) -> Any:
    """Return the body of a request, validated; None if there is none and there need be none.

    :raises RefusedError: it is too long, no JSON, or of another shape.
    """
    if request.method in SAFE_METHODS:
        return None
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise RefusedError(415, "compressed", "the body is compressed: send it as it is")
    content = await _read(request, operation.largest_body)
    if content.strip() and request.content_type not in {"application/json", "application/merge-patch+json"}:
        # Browsers send other types without asking first.
        raise RefusedError(415, "not-json", "the body has to be JSON: send Content-Type: application/json")
    if operation.body is None:
        if content.strip():
            raise RefusedError(422, "invalid", "this operation takes no body")
        return None
    if not content.strip():
        if operation.body_is_optional:
            return None
        raise RefusedError(422, "invalid", "the body is missing")
    try:
        # JSON has types: "no" is no boolean, and must not force a drain.
        return _adapter(operation.body).validate_json(content, strict=True)
    except ValidationError as error:
        raise _invalid(error) from error


async def _read(request: web.BaseRequest, limit: int) -> bytes:
    parts, length = [], 0
    too_large = RefusedError(413, "too-large", f"the body is larger than {limit >> 20} MiB")
    if (request.content_length or 0) > limit:
        raise too_large
    try:
        while True:
            async with asyncio.timeout(READ_TIMEOUT):
                part = await request.content.readany()
            if not part:
                break
            length += len(part)
            if length > limit:
                raise too_large
            parts.append(part)
    except TimeoutError as error:
        raise RefusedError(408, "slow-body", f"nothing of the body came for {READ_TIMEOUT:g} s") from error
    except web.RequestPayloadError as error:
        raise RefusedError(400, "bad-body", "the framing of the body is damaged") from error
    except ConnectionError as error:
        raise RefusedError(400, "bad-body", "the client left in the middle of the body") from error
    return b"".join(parts)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _invalid(error: ValidationError, what: str = "") -> RefusedError:
    first = error.errors(include_url=False, include_input=False, include_context=False)
    if first[0]["type"] == "json_invalid":
        return RefusedError(400, "not-json", f"the body is no JSON: {first[0]['msg']}")
    details = [f"{what}{'.'.join(map(str, each['loc']))[:100]}: {each['msg']}".removeprefix(": ") for each in first[:5]]
    return RefusedError(422, "invalid", "; ".join(details))
