"""The test kit: real gateways, scripted upstreams, a clock to move, and plugins without a socket.

With the SDK installed, pytest has the fixtures ``gateway``, ``upstream`` and ``clock`` (see ``pytest_plugin``).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway_core.testing import (
        Answer,
        Client,
        FetchRequest,
        HarnessResult,
        HookCall,
        InvalidConfigError,
        ManualClock,
        PluginHarness,
        ReceivedRequest,
        RunningGateway,
        ScriptedUpstream,
        UpstreamAnswer,
        assert_plugin_ok,
        eventually,
        factory_config,
        one_route,
        source_url,
    )

    from gateway_plugin_sdk.testing.pytest_plugin import StartGateway

__all__ = [
    "Answer",
    "Client",
    "FetchRequest",
    "HarnessResult",
    "HookCall",
    "InvalidConfigError",
    "ManualClock",
    "PluginHarness",
    "ReceivedRequest",
    "RunningGateway",
    "ScriptedUpstream",
    "StartGateway",
    "UpstreamAnswer",
    "assert_plugin_ok",
    "eventually",
    "factory_config",
    "one_route",
    "source_url",
]

if not TYPE_CHECKING:
    # As in the SDK itself: pytest imports this package everywhere, and most test runs never need the kit.
    def __getattr__(name: str) -> Any:
        if name == "StartGateway":
            return import_module("gateway_plugin_sdk.testing.pytest_plugin").StartGateway
        if name in __all__:
            return getattr(import_module("gateway_core.testing"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
