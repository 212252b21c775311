"""Send a share of the clients to another route."""

from __future__ import annotations

from typing import Annotated
from zlib import crc32

from gateway_plugin_sdk import ConfigModel, Plugin, Request, RouteInfo, hookimpl
from pydantic import Field


class ExperimentConfig(ConfigModel):
    """Who takes part, and where they go."""

    route: str
    """Id of the route that takes part of this one's requests."""

    percent: Annotated[float, Field(ge=0, le=100)] = 10.0
    """Share of the clients that go there."""


class Experiment(Plugin[ExperimentConfig]):
    """Send a share of the clients to another route, each client always to the same one."""

    name = "experiment"
    config_model = ExperimentConfig
    default_on_error = "continue"

    @hookimpl
    def gateway_route_match(self, request: Request, route: RouteInfo | None) -> str | None:
        """Choose the other route for clients that take part."""
        if route is None or route.id == self.config.route:
            return None
        # The binding's id keeps two experiments from drawing the same clients.
        drawn = crc32(f"{self.context.binding} {request.client_ip}".encode()) % 10_000
        return self.config.route if drawn < self.config.percent * 100 else None
