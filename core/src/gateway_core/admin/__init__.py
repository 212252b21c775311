"""The admin listener: health, metrics, status and commands of plugins, on an address of its own."""

from gateway_core.admin.health import Health, health_of
from gateway_core.admin.listener import AdminListener, AdminView, admin_server

__all__ = ["AdminListener", "AdminView", "Health", "admin_server", "health_of"]
