"""Plugins: found, checked, bound to places, and run phase by phase."""

from gateway_core.plugins.base import Plugin, PluginContext
from gateway_core.plugins.binding import Binding, BindingKey
from gateway_core.plugins.blocking import BlockingThreads, hookimpl_blocking
from gateway_core.plugins.chains import Chain, Hook, Stop, build_chain
from gateway_core.plugins.composing import ChainBuilder, unreachable_bindings
from gateway_core.plugins.environment import EnvironmentChange, EnvironmentWatch
from gateway_core.plugins.extensions import ExtensionProblem, Extensions
from gateway_core.plugins.faults import Faults
from gateway_core.plugins.guard import Blockage, BlockingGuard
from gateway_core.plugins.hooktable import PluginDefectError, table_of
from gateway_core.plugins.installed import Published, published_plugins
from gateway_core.plugins.instances import Bindings, Instance, InstanceLeases
from gateway_core.plugins.log_phase import start_log_phase
from gateway_core.plugins.outcomes import Suspended
from gateway_core.plugins.phases import reject_result, start_phase
from gateway_core.plugins.quarantine import Quarantine, QuarantinePolicy
from gateway_core.plugins.recording import CallRecorder, HookCall
from gateway_core.plugins.registry import PluginInfo, PluginRegistry, PluginUnavailableError, ScanReport
from gateway_core.plugins.response_phase import start_response_phase
from gateway_core.plugins.timing_answers import timing_answers
from gateway_core.plugins.timings import HookTime, Timings, server_timing, watch

__all__ = [
    "Binding",
    "BindingKey",
    "Bindings",
    "Blockage",
    "BlockingGuard",
    "BlockingThreads",
    "CallRecorder",
    "Chain",
    "ChainBuilder",
    "EnvironmentChange",
    "EnvironmentWatch",
    "ExtensionProblem",
    "Extensions",
    "Faults",
    "Hook",
    "HookCall",
    "HookTime",
    "Instance",
    "InstanceLeases",
    "Plugin",
    "PluginContext",
    "PluginDefectError",
    "PluginInfo",
    "PluginRegistry",
    "PluginUnavailableError",
    "Published",
    "Quarantine",
    "QuarantinePolicy",
    "ScanReport",
    "Stop",
    "Suspended",
    "Timings",
    "build_chain",
    "hookimpl_blocking",
    "published_plugins",
    "reject_result",
    "server_timing",
    "start_log_phase",
    "start_phase",
    "start_response_phase",
    "table_of",
    "timing_answers",
    "unreachable_bindings",
    "watch",
]
