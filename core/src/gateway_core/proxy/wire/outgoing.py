"""The fields that go upstream once plugins have changed some: what they wrote counts, and nothing stands beside it.

A field is a plugin's if a plugin wrote its name, or if its line is not one that came in. What a plugin wrote under the
name of a field that the gateway writes replaces that one. A field of the client's whose name differs from a plugin's
only in what CGI cannot distinguish (``X_User_Id`` and ``X-User-Id``) is removed.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final, NamedTuple

from gateway_core.messages.headers import Headers, removed_lines, written_lines
from gateway_core.proxy.wire.field_names import has_special_fields
from gateway_core.proxy.wire.fields import Field, credentials_bind, join_lines, split_block
from gateway_core.proxy.wire.forwarding import Origin
from gateway_core.proxy.wire.request_fields import RequestFacts, read_request_block
from gateway_core.proxy.wire.untrusted import folded

_REQUEST_ID = b"x-request-id"


_CRLF: Final = b"\r\n"
_MOST_LINES: Final = 512
_LONGEST_LINES: Final = 1024
_MOST_REMOVED: Final = 16
"""Each takes a copy of the head: a client chooses how many fields of a name there are."""
_ordinary: dict[bytes, bool] = {}


def are_ordinary(lines: bytes) -> bool:
    """Return whether some fields simply go on, and bind no connection; plugins add the same ones again and again."""
    found = _ordinary.get(lines)
    if found is None:
        found = not has_special_fields(lines) and not credentials_bind(lines.lower())
        if len(lines) <= _LONGEST_LINES:
            if len(_ordinary) >= _MOST_LINES:
                _ordinary.clear()
            _ordinary[lines] = found
    return found


def edited_fields(facts: RequestFacts, headers: Headers) -> bytes | None:
    """Return the fields of a head from which plugins removed ordinary ones, and behind which they wrote such ones.

    That is what nearly all changes are, and takes no look at each field, as `outgoing_fields` does.

    :param headers: the fields as plugins left them.
    :returns: what goes on of the client's fields and of the plugins'; None if `outgoing_fields` is needed.
    """
    removed, written = removed_lines(headers, facts.block), written_lines(headers)
    if removed is None or len(removed) > _MOST_REMOVED or facts.has_odd_names or not are_ordinary(written):
        return None
    kept = facts.kept
    for field in removed:
        start = kept.find(field + _CRLF)
        if start < 0:
            start = len(kept) - len(field)
            if not kept.endswith(field):
                return None  # one that the gateway reads, or that a plugin wrote
        kept = kept[:start] + kept[start + len(field) :]
    return kept + written


class Outgoing(NamedTuple):
    """What goes upstream behind Host, before what frames the body."""

    fields: bytes
    has_request_id: bool
    """Whether a plugin wrote the request id, so that the gateway does not."""
    binds: bool
    """Whether its credentials are the connection's (see `gateway_core.proxy.wire.fields`)."""


def outgoing_fields(facts: RequestFacts, origin: Origin, block: bytes, written: bytes) -> Outgoing | None:
    """Return the fields of a head that plugins changed; None if they are not valid.

    :param facts: the head before any plugin saw it.
    :param block: the fields as plugins left them, without those that frame the message.
    :param written: every line that plugins wrote.
    """
    changed = read_request_block(block, http_1_0=True)
    fields = split_block(block)
    if changed is None or fields is None:
        return None
    came = frozenset(facts.block.split(b"\r\n"))
    named = frozenset(name for name, _ in split_block(written) or ())
    new = frozenset(name for name, line in fields if line not in came)
    by_plugins = {name for name in changed.forwarding if name in named or name in new}
    kept = changed.kept
    if by_plugins:
        kept += join_lines([field for field in fields if field[0] in by_plugins])
    if facts.has_odd_names or changed.has_odd_names:
        kept = _without_disguised(split_block(kept) or [], named, new)
    given = {name: value for name, value in facts.forwarding.items() if name in changed.forwarding}
    lines = origin.lines if given.keys() == facts.forwarding.keys() else origin.lines_for(given)
    tail = b"".join([line for name, line in lines if name not in by_plugins])
    return Outgoing(kept + tail, _REQUEST_ID in by_plugins, changed.binds)


def _without_disguised(fields: list[Field], named: Set[bytes], new: Set[bytes]) -> bytes:
    """Return the block of some fields without the client's that CGI would take for a plugin's.

    :param named: names that plugins wrote.
    :param new: names with a line that did not come in.
    """
    spellings: dict[bytes, set[bytes]] = {}
    for name, _ in fields:
        spellings.setdefault(folded(name), set()).add(name)
    dropped: set[bytes] = set()
    for names in spellings.values():
        by_plugins = names & new or names & named
        if len(names) < 2 or not by_plugins:
            continue
        if by_plugins == names and not names & new:
            # A plugin wrote all fields over again, these as they came: the usual spelling is the one that it meant.
            by_plugins = {min(names, key=_oddity)}
        dropped |= names - by_plugins
    return join_lines([field for field in fields if field[0] not in dropped])


def _oddity(name: bytes) -> int:
    return sum(left != right for left, right in zip(name, folded(name), strict=True))
