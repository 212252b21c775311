"""Rewrite responses from the upstream's URLs to the client's: the inverse of `strip_path` and `rewrite`.

How it works. A request's path loses or changes its start on the way to the upstream, and its Host may change. What the
upstream then writes into Location, Content-Location and Set-Cookie is about what it saw. Here the same change is made
backwards: the prefix that the upstream saw becomes the one that the client sees, and URLs of the upstream's own become
the client's. What cannot be about the rewritten request stays to the letter: paths outside of the prefix, other hosts,
and references that are relative to the request's own URL (``../list``, ``?page=2``).

A Location that is made here names another host only if the upstream's did: it never begins with two slashes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway_core.messages.path import encode_path
from gateway_core.routing.patterns import Pattern, Shape

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_AUTHORITY: Final = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_AUTHORITY_END: Final = re.compile(r"[/?#\\]")
_PATH_END: Final = re.compile(r"[?#]")
_NAMES: Final = (b"\r\nlocation:", b"\r\ncontent-location:", b"\r\nset-cookie:")


class ResponseFacts(NamedTuple):
    """The request that a response is for, and the upstream that it comes from."""

    client_scheme: str
    """Scheme as the client sees it."""
    client_host: str
    """Host as the client sees it, with its port if it has one; empty if the client sent none."""
    endpoint_scheme: str
    endpoint_host: str
    """Empty for a unix socket."""
    endpoint_port: int
    sent_host: str
    """The Host that went upstream."""


@dataclass(frozen=True, slots=True)
class PrefixChange:
    """How a rewrite changes the start of a path."""

    client: str
    """What the client sees, without a slash at its end; empty for none."""
    upstream: str
    """What the upstream sees instead."""
    ends_within_segment: bool = False
    """Whether ``client`` ends in the literal start of a segment: ``/user_`` of ``/user_:name``."""

    def undo(self, path: str) -> str:
        """Return the path as the client sees it; one that is outside of the upstream's prefix stays."""
        if self.upstream and path != self.upstream and not path.startswith(self.upstream + "/"):
            return path
        rest = path[len(self.upstream) :]
        return f"{self.client}{rest[1:] if self.ends_within_segment else rest}" or "/"

    def undo_cookie_path(self, path: str) -> str:
        """Return the path of a cookie as the client sees it."""
        if path == "/" and not self.upstream and not self.ends_within_segment:
            # All that the upstream serves: /api matches /api and /api/users (RFC 6265 section 5.1.4), /api/ would not.
            return self.client or "/"
        return self.undo(path)

    @property
    def hidden(self) -> str:
        """The prefix that the client sees and the upstream does not; empty if there is none."""
        if self.ends_within_segment or self.upstream.endswith(self.client):
            return ""
        return self.client.removesuffix(self.upstream)


def prefix_change(pattern: Pattern, prefix: str | None) -> PrefixChange | None:
    """Return how the start of a path changes; None for a regular expression, whose paths have no fixed start.

    :param prefix: what stands in the place of the pattern's literal start; None if it is removed.
    """
    if pattern.shape is Shape.REGEX:
        return None
    count = pattern.literal_count
    client = "".join([f"/{encode_path(segment.text)}" for segment in pattern.segments[:count]])
    start = pattern.segments[count].text if count < len(pattern.segments) else ""
    if start:
        client += f"/{encode_path(start)}"
    return PrefixChange(client, encode_path(prefix or "").rstrip("/"), bool(start))


@dataclass(frozen=True, slots=True)
class ResponseRewrite:
    """What of a response's head becomes the client's."""

    prefix: PrefixChange | None
    """None if the path goes upstream as it came."""
    host: str = ""
    """``rewrite.host``."""
    location: bool = False
    cookie_path: bool = False
    cookie_domain: bool = False

    def apply(self, block: bytes, facts: ResponseFacts) -> bytes:
        """Return a block of fields (lines that each begin with CRLF) as the client is to see it."""
        lowered = block.lower()
        if not any(name in lowered for name in _NAMES):
            return block
        lines = block.split(b"\r\n")
        for index, line in enumerate(lines):
            name, _, written = line.partition(b":")
            key = name.lower()
            if key not in {b"location", b"content-location", b"set-cookie"}:
                continue
            value = written.strip(b" \t").decode("latin-1")
            made = self._cookie(value, facts) if key == b"set-cookie" else self._location(value, facts)
            if made != value:
                lines[index] = b"%b: %b" % (name, made.encode("latin-1"))
        return b"\r\n".join(lines)

    def _location(self, value: str, facts: ResponseFacts) -> str:
        if not self.location:
            return value
        written, slashes, behind = value.partition("//")
        if not slashes or (written and not written.endswith(":")):
            return _rooted(self._path(value)) if value.startswith("/") else value
        scheme = (written.removesuffix(":") or facts.endpoint_scheme).lower()
        end = _AUTHORITY_END.search(behind)
        cut = len(behind) if end is None else end.start()
        if scheme not in _DEFAULT_PORTS or not self._is_own(behind[:cut], scheme, facts):
            return value
        path = self._path(behind[cut:] if behind.startswith("/", cut) else f"/{behind[cut:]}")
        if not facts.client_host:
            return _rooted(path)
        begin = f"{facts.client_scheme}:" if written else ""
        return f"{begin}//{facts.client_host}{path}"

    def _path(self, target: str) -> str:
        """Undo the rewrite in a path that may have a query and a fragment behind it."""
        if self.prefix is None:
            return target
        end = _PATH_END.search(target)
        cut = len(target) if end is None else end.start()
        return self.prefix.undo(target[:cut]) + target[cut:]

    def _is_own(self, authority: str, scheme: str, facts: ResponseFacts) -> bool:
        """Whether an authority is that of the endpoint, or a Host that it was sent."""
        found = _AUTHORITY.fullmatch(authority)
        if found is None:
            return False
        host, port = _origin(authority, scheme)
        if host == _bracketed(facts.endpoint_host) and port == facts.endpoint_port:
            return True
        return any(known and (host, port) == _origin(known, scheme) for known in (self.host, facts.sent_host))

    def _cookie(self, value: str, facts: ResponseFacts) -> str:
        first, *attributes = value.split(";")
        # Browsers take __Host- cookies only with Path=/ and without a Domain (RFC 6265bis section 4.1.3.2).
        is_bound_to_host = first.strip().lower().startswith("__host-")
        for index, attribute in enumerate(attributes):
            name, equals, written = attribute.partition("=")
            key, text = name.strip().lower(), written.strip()
            if key == "path" and self.cookie_path and not is_bound_to_host and text.startswith("/"):
                made = text if self.prefix is None else self.prefix.undo_cookie_path(text)
            elif key == "domain" and self.cookie_domain and text and facts.client_host:
                made = _origin(facts.client_host, facts.client_scheme)[0]
            else:
                continue
            if made != text:
                attributes[index] = f"{name}{equals}{made}"
        return ";".join([first, *attributes])


def _origin(authority: str, scheme: str) -> tuple[str, int]:
    """Return host, in lower case and without a final dot, and port of an authority."""
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return authority.lower(), 0
    port = int(found["port"]) if found["port"] else _DEFAULT_PORTS.get(scheme, 0)
    return found["host"].lower().removesuffix("."), port


def _bracketed(host: str) -> str:
    return f"[{host}]".lower() if ":" in host else host.lower()


def _rooted(target: str) -> str:
    """Return a reference that begins with one slash: two, or a slash and a backslash, would name a host."""
    return "/" + target.lstrip("/\\") if target[1:2] in {"/", "\\"} else target
