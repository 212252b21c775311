"""What is seen of hooks: their times and their calls. It lies below the hooks, which know only `HookObserver`."""

from gateway_core.observe.hook_calls import CallRecorder, HookCall
from gateway_core.observe.hook_observer import HookObserver, HookWatch, ObservedHook
from gateway_core.observe.hook_times import HookTime, RequestTimes, Timings, server_timing, watch

__all__ = [
    "CallRecorder",
    "HookCall",
    "HookObserver",
    "HookTime",
    "HookWatch",
    "ObservedHook",
    "RequestTimes",
    "Timings",
    "server_timing",
    "watch",
]
