"""Authentication that binds a whole connection, not one request: NTLM, Negotiate and their kin (RFC 4559).

An upstream that speaks one of them takes every later request on the connection for the user who logged in over it. Such
a connection must never serve another client.
"""

from __future__ import annotations

import re
from typing import Final

_CREDENTIALS: Final = (b"\r\nauthorization:",)  # Proxy-Authorization is for us, and goes no further
_CHALLENGES: Final = (b"\r\nwww-authenticate:", b"\r\nproxy-authenticate:")
_SCHEMES: Final = rb"[ \t]*(?:ntlm|negotiate|nego2|kerberos)(?![^ \t,\r\n])"
_CREDENTIAL: Final = re.compile(_SCHEMES, re.IGNORECASE)
# A scheme stands first or behind the comma of a list (RFC 9110 section 11.6.1). A comma within a quoted string may be
# taken for one: then a connection is not shared that could have been, which harms nothing.
_CHALLENGE: Final = re.compile(rb"(?:[^\r\n]*,)?" + _SCHEMES)


def credential_binds(value: bytes) -> bool:
    """Whether the value of an Authorization field is a credential of such a scheme."""
    return _CREDENTIAL.match(value) is not None


def credentials_bind(lowered: bytes) -> bool:
    """Whether a request's fields, in lower case, have credentials of such a scheme."""
    return _has(lowered, _CREDENTIALS, _CREDENTIAL)


def challenge_binds(lowered: bytes) -> bool:
    """Whether a response's fields, in lower case, have a challenge of such a scheme, or the next step of one."""
    return _has(lowered, _CHALLENGES, _CHALLENGE)


def _has(lowered: bytes, names: tuple[bytes, ...], value: re.Pattern[bytes]) -> bool:
    # Every new head comes through here: most have none of the fields, and a search for their names costs least.
    for name in names:
        start = lowered.find(name)
        while start >= 0:
            start += len(name)
            if value.match(lowered, start):
                return True
            start = lowered.find(name, start)
    return False
