"""Hides credentials in bodies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway_plugin_logger.bodies.text import MediaType
from gateway_plugin_logger.redaction.masks import HIDDEN
from gateway_plugin_logger.redaction.queries import make_query_mask

SECRET_MEMBERS: Final = (
    "access_token", "api_key", "apikey", "assertion", "authorization", "card_number", "client_assertion",
    "client_secret", "credentials", "credit_card", "cvc", "cvv", "id_token", "jwt", "new_password", "old_password",
    "otp", "passphrase", "passwd", "password", "pin", "private_key", "refresh_token", "secret", "session_token", "ssn",
    "token",
)  # fmt: skip
"""Members of JSON objects whose values nobody should read in a log."""

# A text, and whether it is a member's name. It always matches where a text begins: to look for a member at once would
# read an open text again from each of its escaped quotes.
_TEXT: Final = re.compile(r'"((?:[^"\\]|\\.)*)(?:(")(\s*:\s*)?)?', re.DOTALL)
_SCALAR: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[^\s,\[\]{}"]+', re.DOTALL)


def make_body_mask(members: Iterable[str], parameters: Iterable[str]) -> Callable[[str, MediaType, bool], str]:
    """Return a function that hides values in JSON by the names of their members, and in forms like in queries.

    Names have no case, and ``-`` is ``_``. Other types pass as they are: rules may change them.
    """
    hidden = frozenset(map(_plain, members))
    mask_form = make_query_mask(parameters)

    def mask(text: str, media_type: MediaType, is_cut: bool) -> str:
        if media_type.is_form:
            return mask_form(text)
        if not media_type.is_json or not hidden:
            return text
        if not is_cut:
            try:
                return _masked_json(text, hidden)
            except (ValueError, RecursionError):
                pass  # no JSON after all, or nested without end: what looks like members is hidden
        return _masked_fragment(text, hidden)

    return mask


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _masked_json(text: str, hidden: frozenset[str]) -> str:
    found = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal found
        masked = {}
        for name, value in pairs:
            is_hidden = "*" in hidden or _plain(name) in hidden
            found = found or is_hidden
            masked[name] = HIDDEN if is_hidden else value
        return masked

    value = json.loads(text, object_pairs_hook=members)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False) if found else text


def _masked_fragment(text: str, hidden: frozenset[str]) -> str:
    """Hide members in what is no whole JSON text; of a hidden object or list all the rest of the text goes."""
    kept: list[str] = []
    position = 0
    while (member := _TEXT.search(text, position)) is not None and member[2] is not None:
        if member[3] is None:
            # Its end may be where another text begins: what is no JSON may have a quote too many.
            kept.append(text[position : member.end(1)])
            position = member.end(1)
            continue
        kept.append(text[position : member.end()])
        position = member.end()
        if "*" not in hidden and _plain(_unescaped(member[1])) not in hidden:
            continue
        kept.append(f'"{HIDDEN}"')
        scalar = _SCALAR.match(text, position)
        if scalar is None:
            return "".join(kept)
        position = scalar.end()
    return "".join([*kept, text[position:]])


def _unescaped(name: str) -> str:
    try:
        return str(json.loads(f'"{name}"', strict=False))
    except ValueError:
        return name
