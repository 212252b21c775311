"""Which requests a tail is to show. Pure; the same in the worker that serves a request and in the stream."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import ip_address, ip_network
from typing import Any, Final

from gateway_core.messages.secret_fields import may_be_secret

_STATUS: Final = re.compile(r"[1-5](?:xx|[0-9]{2})")
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_LONGEST: Final = 500
_NO_PLUGINS: Final = frozenset({"gateway", "upstream"})


@dataclass(frozen=True, slots=True)
class TailFilter:
    """A condition on requests; what is empty is no condition."""

    route: str = ""
    status: str = ""
    """Statuses and classes of them with commas between: ``5xx,404``."""
    client: str = ""
    """An address, or a network such as ``10.0.0.0/8``."""
    method: str = ""
    path: str = ""
    """What the path begins with, as the client sent it."""
    reason: str = ""
    """A code of docs/reasons.md, or the reason of a plugin that refused."""
    plugin: str = ""
    """The binding that responded, or the plugin that left the reason why it refused."""
    headers: str = ""
    """No condition: names of request fields, with commas between them, that are shown of each request as well."""

    def __post_init__(self) -> None:
        """Refuse what can match nothing.

        :raises ValueError: a condition is none, or a field may hold credentials; the text says which one and how it is
            written.
        """
        for name, value in asdict(self).items():
            if len(value) > _LONGEST:
                raise ValueError(f"{name} is longer than {_LONGEST} characters")
        for status in self.status.split(",") if self.status else ():
            if not _STATUS.fullmatch(status):
                raise ValueError(f"{status[:40]!r} is no status: write 404 or 5xx, with commas between several")
        if self.client:
            try:
                ip_network(self.client, strict=False)
            except ValueError:
                raise ValueError(
                    f"{self.client[:60]!r} is no address: write 10.0.0.1, or a network such as 10.0.0.0/8"
                ) from None
        for name in self.header_names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name[:40]!r} is no header name: write names with commas between them")
            if may_be_secret(name):
                raise ValueError(f"{name[:40]!r} may hold credentials, which are not shown: leave it out")

    @property
    def header_names(self) -> tuple[str, ...]:
        """The names of ``headers``, in lower case."""
        return tuple(self.headers.lower().split(",")) if self.headers else ()

    def may_match(self, route: str | None, status: int, method: str) -> bool:
        """Whether a request can match, by what costs nothing to know."""
        return (
            (not self.route or self.route == route)
            and (not self.method or self.method.upper() == method)
            and (not self.status or self._has_status(status))
        )

    def matches(self, entry: Mapping[str, Any]) -> bool:
        """Whether a request is to be shown.

        :param entry: as `gateway_core.proxy.tail` makes it.
        """
        return (
            self.may_match(entry["route"], entry["status"], entry["method"])
            and (not self.path or entry["path"].startswith(self.path))
            and (not self.reason or self.reason in {entry["reason"], *entry["refusals"]})
            and (not self.plugin or self._has_plugin(entry))
            and (not self.client or self._has_client(entry["client"]))
        )

    def _has_status(self, status: int) -> bool:
        return any(
            status // 100 == int(each[0]) if each.endswith("xx") else status == int(each)
            for each in self.status.split(",")
        )

    def _has_plugin(self, entry: Mapping[str, Any]) -> bool:
        made_by = entry["produced_by"]
        return self.plugin in entry["refused_by"] or (self.plugin == made_by and made_by not in _NO_PLUGINS)

    def _has_client(self, client: str) -> bool:
        try:
            return ip_address(client) in ip_network(self.client, strict=False)
        except ValueError:
            return False

    def to_plain(self) -> dict[str, str]:
        """Return it as JSON has it."""
        return asdict(self)


EVERY_REQUEST: Final = TailFilter()
