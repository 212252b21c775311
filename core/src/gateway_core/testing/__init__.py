"""The test kit: real gateways, scripted upstreams, and plugins without a socket. Plugins get it from the SDK."""

from gateway_core.clock import ManualClock
from gateway_core.config import factory_config
from gateway_core.config.sources import source_url
from gateway_core.hooks import FetchRequest
from gateway_core.observe import HookCall
from gateway_core.testing.client import Answer, Client
from gateway_core.testing.configuration import InvalidConfigError, one_route
from gateway_core.testing.conformance import assert_plugin_ok
from gateway_core.testing.gateway import RunningGateway
from gateway_core.testing.harness import HarnessResult, PluginHarness
from gateway_core.testing.loop_thread import eventually
from gateway_core.testing.upstream import ReceivedRequest, ScriptedUpstream, UpstreamAnswer

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
    "UpstreamAnswer",
    "assert_plugin_ok",
    "eventually",
    "factory_config",
    "one_route",
    "source_url",
]
