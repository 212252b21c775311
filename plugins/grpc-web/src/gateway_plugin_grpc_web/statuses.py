"""The status of gRPC for a response that is none of gRPC: the gateway's, a plugin's, or one of HTTP from an upstream.

Statuses are those of https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md; reasons say it better
where the gateway knows one.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED = 2, 4, 8

_BY_STATUS: Final = {400: 13, 401: 16, 403: 7, 404: 12, 413: 8, 429: 14, 431: 8, 502: 14, 503: 14, 504: 14}
_BY_REASON: Final = {
    "upstream.timeout": DEADLINE_EXCEEDED,
    "upstream.connect-timeout": DEADLINE_EXCEEDED,
    "request-timeout": DEADLINE_EXCEEDED,
    "body-too-slow": DEADLINE_EXCEEDED,
    "limits.max-requests": RESOURCE_EXHAUSTED,
    "limits.max-connections": RESOURCE_EXHAUSTED,
    "upstream.overloaded": RESOURCE_EXHAUSTED,
}


def status_for(status: int, failure: str | None) -> int:
    """Return the code of gRPC.

    :param failure: why the gateway responded, if it did.
    """
    return _BY_REASON.get(failure or "", _BY_STATUS.get(status, UNKNOWN))


def message_for(status: int, body: object) -> str:
    """Return ``grpc-message``, percent-encoded: the detail of a problem (RFC 9457), or the status in words.

    :param body: of a response that was made here.
    """
    detail: object = ""
    if isinstance(body, bytes):
        try:
            members = json.loads(body)
        except ValueError:
            members = None
        if isinstance(members, dict):
            detail = members.get("detail") or members.get("title")
    if not isinstance(detail, str) or not detail:
        detail = HTTPStatus(status).phrase if status in set(HTTPStatus) else f"HTTP status {status}"
    return quote(detail, safe=" !\"#$&'()*+,/:;<=>?@[]^`{|}\\")
