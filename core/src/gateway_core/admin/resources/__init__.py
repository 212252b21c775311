"""What the admin API has: one module for each resource, each with its table of operations."""

from gateway_core.admin import commands, openapi, operations
from gateway_core.admin.operation import Operation
from gateway_core.admin.resources import events, history, objects, overrides, overview, session, state

OPERATIONS: tuple[Operation, ...] = (
    *session.OPERATIONS,
    # Before `plugins/{name}`, which takes `plugins/BINDING:release` for a name.
    *overrides.OPERATIONS,
    *overview.OPERATIONS,
    *state.OPERATIONS,
    *objects.OPERATIONS,
    *history.OPERATIONS,
    *events.OPERATIONS,
    *operations.OPERATIONS,
    *commands.OPERATIONS,
    openapi.operation(lambda: OPERATIONS),
)
