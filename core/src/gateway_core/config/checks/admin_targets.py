"""The admin listener is not for documents that do not come from this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway_core.config.address import UNIX, parse_listen
from gateway_core.config.admin_targets import leads_to, urls_at
from gateway_core.config.checks.scope import Scope, text
from gateway_core.config.documents import Document
from gateway_core.config.expansion import DEFAULTS
from gateway_core.config.values import InvalidValueError


def check_admin_targets(scope: Scope, document_of: Callable[[str], Document]) -> None:
    """Report addresses of the admin listener in documents without the right to files.

    What comes over the loopback interface counts as of this machine there, as what comes over a unix socket does.
    """
    admin = scope.document.get("admin")
    named = [text(admin, key) or "" for key in ("listen", "health_listen")] if isinstance(admin, Mapping) else []
    taken = [each for each in named if _is_tcp(each)]
    if not taken:
        return
    # What defaults hold stands in each of their routes.
    others = {key: value for key, value in scope.document.items() if key not in {"admin", DEFAULTS}}
    for path, url in urls_at(others):
        if leads_to(url, taken):
            document = document_of(scope.place(path).file)
            if "files" not in document.rights:
                scope.add(
                    path,
                    f"{scope.shown(path, url)} leads to the admin listener, which {document.name} may not",
                    code="admin.not-allowed",
                    remedy="route to it in a file of this machine, or write allow: [files] there, for the source",
                )


def _is_tcp(address: str) -> bool:
    try:
        return not address.startswith(UNIX) and parse_listen(address).port != 0
    except InvalidValueError:
        return False  # a problem of its own
