"""The admin listener: health, metrics, state and the admin API, on an address of its own."""

from gateway_core.admin.access import Access, ClientName, Token
from gateway_core.admin.health import Health, health_of
from gateway_core.admin.listener import AdminListener, Place, admin_server
from gateway_core.admin.view import AdminView

__all__ = [
    "Access",
    "AdminListener",
    "AdminView",
    "ClientName",
    "Health",
    "Place",
    "Token",
    "admin_server",
    "health_of",
]
