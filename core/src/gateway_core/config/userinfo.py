"""Credentials in URLs, hidden: of any text, so that no message has to know which of its words came from an option."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "**********"

# A URL ends at white space or a quote. Its authority ends at the first of "/?#" (RFC 3986, section 3.2), but a password
# that was not escaped may hold one of those.
_URL: Final = re.compile(r"""(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)(?P<rest>[^\s"'<>`]*)""")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%a-z]*\]|[^:@\[\]]+)(?::[0-9]*)?|")
_PARAMETER: Final = re.compile(
    r"(?P<name>[?&;](?:[A-Za-z0-9_-]*(?:pass|secret|token|credential|signature)[A-Za-z0-9_-]*|api[_-]?key|access[_-]?key"
    r"|sig|auth)=)(?P<value>[^&;#]+)",
    re.IGNORECASE,
)


def without_credentials(text: str, *, keep_length: bool = False) -> str:
    """Return a text with the user and password of every URL in it, and secrets in their queries, hidden.

    :param keep_length: put one asterisk for each character, so that columns of a source line stay.
    """

    def hide(secret: str) -> str:
        return "*" * len(secret) if keep_length else HIDDEN

    def shown(match: re.Match[str]) -> str:
        rest = match["rest"]
        end = _userinfo_end(rest)
        query = _PARAMETER.sub(lambda found: found["name"] + hide(found["value"]), rest[end:])
        return match["scheme"] + (hide(rest[:end]) if end else "") + query

    return _URL.sub(shown, text) if "://" in text else text


def _userinfo_end(rest: str) -> int:
    """Return where the ``@`` behind the userinfo is; 0 if there is none."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        return authority.rindex("@")
    # "redis://:a/b@host": what looks like an authority is no host, so the slash is one of the password.
    if not _HOST.fullmatch(authority):
        return max(rest.rfind("@"), 0)
    return 0
