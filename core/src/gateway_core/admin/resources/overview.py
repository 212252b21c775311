"""``GET /api/v1/overview``: the state of everything in one piece."""

from __future__ import annotations

from typing import Any, Final

from gateway_core.admin.health import health_of
from gateway_core.admin.operation import API, Call, Operation
from gateway_core.admin.replies import Reply, json_reply
from gateway_core.clock import SystemClock

OVERVIEW: Final = f"{API}overview"


async def _overview(call: Call) -> Reply:
    status = await call.view.status()
    health = health_of(status, SystemClock().wall(), is_draining=call.view.is_draining)
    state = "unready" if health.unready else "degraded" if health.degraded else "ready"
    return json_reply({"state": state, "unready": health.unready, "degraded": health.degraded, **status})


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        "overview",
        "viewer",
        "Return the state of the gateway: versions, workers, upstreams, sources, the last reload, what is wrong",
        _overview,
        result=dict[str, Any],
        errors=(503,),
    ),
)
