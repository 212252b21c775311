"""The dashboard: static files at ``/dashboard/``, which show in a browser what the admin API has.

They are plain HTML, CSS and ES modules, read once and sent as they are: nothing is built, and nothing comes from
another host. The files have no secret and need no login. What they show comes from the API, by the token that the page
asks for.
"""

from gateway_core.admin.dashboard.files import dashboard_pages

__all__ = ["dashboard_pages"]
