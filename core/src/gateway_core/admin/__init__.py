"""The admin listener: health, metrics and status, on an address of its own."""

from gateway_core.admin.listener import AdminListener, AdminView

__all__ = ["AdminListener", "AdminView"]
