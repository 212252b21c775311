"""The pre-proxy phase of most requests, which is started more often than any other."""

from __future__ import annotations

from gateway_core.hooks.chain import Hook, Stop
from gateway_core.hooks.policy import ANYTHING
from gateway_core.hooks.run import Suspended, go_on_deciding
from gateway_core.messages import Request, Response
from gateway_core.messages.hook_owner import calls_hooks


@calls_hooks
def start_pre_proxy_phase(hooks: tuple[Hook, ...], request: Request) -> Stop | Suspended[Stop | None] | None:
    """Run the pre-proxy hooks as `start_phase` does, but for a response, which may be the plugin's own object."""
    hook = result = failure = None
    try:
        for hook in hooks:
            hook.counts.calls += 1
            result = hook.call(request)
            if result is not None:
                break
        else:
            return None
    except ANYTHING as error:
        failure = error
    if failure is None and isinstance(result, Response) and type(result.body) is bytes:  # the usual end
        assert hook is not None
        return Stop(result, hook)
    return go_on_deciding(hooks, hook, (request,), result, failure)
