"""Events of the admin API."""

from __future__ import annotations

from typing import Final

from gateway_core.events.event import INFO, WARNING, define

CONTROL_SOCKET_MISSING: Final = define(
    "control_socket.missing", WARNING, "there is no control socket, so `gateway status`, `reload`, `call` and "
    "`match --running` do not work", "reason",
)  # fmt: skip
ADMIN_WRITE: Final = define(
    "admin.write", INFO, "the audit log of the admin API: who has changed something, and what was responded",
    "caller", "role", "how", "token", "method", "target", "status", "client",
)  # fmt: skip
_OVERRIDE: Final = ("kind", "upstream", "name", "by", "reason", "expires", "state")
ADMIN_OVERRIDE: Final = define("admin.override", INFO, "an override begins, expires or is ended", *_OVERRIDE)
ADMIN_LOGIN_FAILED: Final = define(
    "admin.login_failed", WARNING, "a token that the admin listener was sent is unknown, has expired or was revoked",
    "client",
)  # fmt: skip
