"""Plugins: found, checked, bound to places, and run phase by phase."""

from gateway_core.plugins.base import Plugin, PluginContext
from gateway_core.plugins.binding import Binding, BindingKey, Effective, effective_bindings, explain_bindings
from gateway_core.plugins.blocking import hookimpl_blocking
from gateway_core.plugins.chains import Chain, Hook, Stop, build_chain
from gateway_core.plugins.hooktable import PluginDefectError, table_of
from gateway_core.plugins.phases import Suspended, reject_result, start_log_phase, start_phase, start_response_phase
from gateway_core.plugins.timings import Timings, server_timing

__all__ = [
    "Binding",
    "BindingKey",
    "Chain",
    "Effective",
    "Hook",
    "Plugin",
    "PluginContext",
    "PluginDefectError",
    "Stop",
    "Suspended",
    "Timings",
    "build_chain",
    "effective_bindings",
    "explain_bindings",
    "hookimpl_blocking",
    "reject_result",
    "server_timing",
    "start_log_phase",
    "start_phase",
    "start_response_phase",
    "table_of",
]
