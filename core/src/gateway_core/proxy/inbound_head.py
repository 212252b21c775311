"""The old place of `RequestHead`."""

from gateway_core.proxy.wire.request_head import RequestHead as InboundHead
from gateway_core.proxy.wire.request_head import flags_for

__all__ = ["InboundHead", "flags_for"]
