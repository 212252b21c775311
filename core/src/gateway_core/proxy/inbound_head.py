"""The old place of `RequestHead`."""

from gateway_core.proxy.wire.request_head import UNDECIDED, flags_for
from gateway_core.proxy.wire.request_head import RequestHead as InboundHead

__all__ = ["UNDECIDED", "InboundHead", "flags_for"]
