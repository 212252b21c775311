"""Respond with 503 as long as a file exists."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Final

from gateway_plugin_sdk import ConfigModel, Duration, Plugin, PluginContext, Request, Response, hookimpl

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at the file: requests in between cost no system call."""


class MaintenanceConfig(ConfigModel):
    """When to respond with 503, and to whom not."""

    file: Path
    """As long as this file exists, requests get 503."""

    retry_after: Duration = 60.0
    """What clients are told about when to come back."""

    allow: tuple[str, ...] = ()
    """Addresses of clients that are let through."""


class Maintenance(Plugin[MaintenanceConfig]):
    """Respond with 503 as long as a file exists, before anything else happens to a request."""

    name = "maintenance"
    config_model = MaintenanceConfig
    default_on_error = "continue"

    def __init__(self, config: MaintenanceConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._is_on = False
        self._next_look = 0.0

    @hookimpl
    def gateway_request(self, request: Request) -> Response | None:
        """Respond while it is on."""
        now = self.clock.monotonic()
        if now >= self._next_look:
            self._next_look = now + LOOK_EVERY
            self._is_on = self.config.file.exists()
        if not self._is_on or request.client_ip in self.config.allow:
            return None
        return Response.problem(503, "maintenance", headers={"Retry-After": str(ceil(self.config.retry_after))})
