"""Authentication that binds a whole connection, not one request: NTLM, Negotiate and their kin (RFC 4559).

An upstream that speaks one of them takes every later request on the connection for the user who logged in over it. Such
a connection must never serve another client.
"""

from __future__ import annotations

import re
from typing import Final

# A scheme stands first or behind the comma of a list (RFC 9110 section 11.6.1). A comma within a quoted string may be
# taken for one: then a connection is not shared that could have been, which harms nothing.
_BINDS: Final = re.compile(
    rb"(?:^|\r\n)(?:proxy-)?(?:authorization|(?:www-)?authenticate):"
    rb"(?:[^\r\n]*,)?[ \t]*(?:ntlm|negotiate|nego2|kerberos)(?![^ \t,\r\n])"
)
_FIELD_PART: Final = b"auth"


def binds_connection(lowered: bytes) -> bool:
    """Whether a block of fields, in lower case, has credentials or a challenge of such a scheme."""
    return _FIELD_PART in lowered and _BINDS.search(lowered) is not None
