"""Hooks of plugins: inspected, ordered into chains, run phase by phase."""

from gateway_core.hooks.binding import Binding, BindingKey, binding_path
from gateway_core.hooks.blocking import BlockingThreads, hookimpl_blocking
from gateway_core.hooks.blocking_guard import Blockage, BlockingGuard
from gateway_core.hooks.certificates import (
    Certificate,
    CertificateContext,
    CertificateFactory,
    CertificateSource,
    ChallengeResponder,
    CheckedSource,
    HostsInForce,
    IssuanceReporter,
    IssuanceStatus,
    OnDemandSource,
    ServedHosts,
)
from gateway_core.hooks.chain import NO_HOOKS, Chain, Hook, Stop, announced_lines, attempt_hooks, build_chain
from gateway_core.hooks.commands import (
    Command,
    CommandOutcome,
    as_json,
    command,
    commands_of,
    describe_binding,
    run_command,
    run_in_instances,
)
from gateway_core.hooks.early import NOTHING_PASSED, EarlyPasses, Passed
from gateway_core.hooks.failure_log import Faults
from gateway_core.hooks.fetch import FetchCall, Fetched, Fetcher, FetchHead, FetchRequest, Upstreams
from gateway_core.hooks.hook_inspection import PluginDefectError, table_of
from gateway_core.hooks.own_tasks import name_hook_tasks
from gateway_core.hooks.plugin import Plugin, PluginContext
from gateway_core.hooks.quarantine import Quarantine, QuarantinePolicy
from gateway_core.hooks.run import (
    Suspended,
    reject_result,
    start_attempt_phase,
    start_log_phase,
    start_phase,
    start_pre_proxy_phase,
    start_response_phase,
)
from gateway_core.hooks.runtime import CommandError, PluginRuntime, PluginServices, shared_owner
from gateway_core.hooks.server_timing import server_timing_binding
from gateway_core.hooks.shared import LocalShared, Shared, SharedBackend
from gateway_core.hooks.shared_store import SharedCall, SharedResult, SharedStoreFull, SharedStores
from gateway_core.hooks.upstream_scope import UpstreamScope, current_scope

__all__ = [
    "NOTHING_PASSED",
    "NO_HOOKS",
    "Binding",
    "BindingKey",
    "Blockage",
    "BlockingGuard",
    "BlockingThreads",
    "Certificate",
    "CertificateContext",
    "CertificateFactory",
    "CertificateSource",
    "Chain",
    "ChallengeResponder",
    "CheckedSource",
    "Command",
    "CommandError",
    "CommandOutcome",
    "EarlyPasses",
    "Faults",
    "FetchCall",
    "FetchHead",
    "FetchRequest",
    "Fetched",
    "Fetcher",
    "Hook",
    "HostsInForce",
    "IssuanceReporter",
    "IssuanceStatus",
    "LocalShared",
    "OnDemandSource",
    "Passed",
    "Plugin",
    "PluginContext",
    "PluginDefectError",
    "PluginRuntime",
    "PluginServices",
    "Quarantine",
    "QuarantinePolicy",
    "ServedHosts",
    "Shared",
    "SharedBackend",
    "SharedCall",
    "SharedResult",
    "SharedStoreFull",
    "SharedStores",
    "Stop",
    "Suspended",
    "UpstreamScope",
    "Upstreams",
    "announced_lines",
    "as_json",
    "attempt_hooks",
    "binding_path",
    "build_chain",
    "command",
    "commands_of",
    "current_scope",
    "describe_binding",
    "hookimpl_blocking",
    "name_hook_tasks",
    "reject_result",
    "run_command",
    "run_in_instances",
    "server_timing_binding",
    "shared_owner",
    "start_attempt_phase",
    "start_log_phase",
    "start_phase",
    "start_pre_proxy_phase",
    "start_response_phase",
    "table_of",
]
