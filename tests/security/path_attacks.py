"""The table of attacks on protected paths. A fault that is found later is one more row.

Each row is one request-target (bytes, as they stand in the request line) with what must become of it where ``/admin/x``
is protected by a route and everything else is open:

``GUARDED``   it is a spelling of ``/admin/x``: the protected route takes it, so without a token it gets 401. With one
              it goes upstream, and reads as what the protected route was asked for;
``REFUSED``   it has more than one reading: 400 before any upstream is asked;
``OPEN``      it names something else to every server: the open route takes it. The first segment must not be ``admin``
              to any of them, because some of the protected routes take everything below it.

`test_path_attacks.py` sends every row to every form that a protected route may have (prefix, exact path, pattern, tail,
regular expression, with hosts, with methods), as it is and with a rewritten path, with and without TLS,
on a new connection and behind other requests, and asks ``gateway match`` as well.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple


class Fate(Enum):
    """What must become of a request."""

    GUARDED = 401
    REFUSED = 400
    OPEN = 200


class Attack(NamedTuple):
    """One row."""

    name: str
    target: bytes
    fate: Fate


GUARDED, REFUSED, OPEN = Fate.GUARDED, Fate.REFUSED, Fate.OPEN

ATTACKS: Final = (
    # plain, and with a query that looks like a path
    Attack("plain", b"/admin/x", GUARDED),
    Attack("query", b"/admin/x?y", GUARDED),
    Attack("empty query", b"/admin/x?", GUARDED),
    Attack("path in the query", b"/admin/x?/../../public", GUARDED),
    Attack("control character in the query", b"/admin/x?a=%00%0a", GUARDED),
    # runs of slashes
    Attack("two slashes in front", b"//admin/x", GUARDED),
    Attack("two slashes within", b"/admin//x", GUARDED),
    Attack("many slashes", b"////admin////x", GUARDED),
    Attack("thousands of slashes", b"/" * 4000 + b"admin/x", GUARDED),
    Attack("host behind two slashes", b"//host@evil/public", OPEN),
    # path parameters
    Attack("parameter on the first segment", b"/admin;v=1/x", GUARDED),
    Attack("parameter on the last segment", b"/admin/x;v=1", GUARDED),
    Attack("empty parameter", b"/admin;/x;", GUARDED),
    Attack("encoded parameter", b"/admin%3bv/x%3Bv", GUARDED),
    Attack("segment that is a parameter", b"/;/admin/x", GUARDED),
    Attack("segment within that is a parameter", b"/admin/;v=1/x", GUARDED),
    Attack("parameters and slashes", b"/;a=b//%3B/admin/;c//x", GUARDED),
    Attack("long parameter", b"/admin/x;" + b"a" * 4000, GUARDED),
    Attack("encoded parameter within a parameter", b"/admin;%3b%253b/x", GUARDED),
    # decoded once
    Attack("encoded letter", b"/%61dmin/x", GUARDED),
    Attack("all letters encoded", b"/%61%64%6D%69%6e/%78", GUARDED),
    Attack("encoded letter and parameter", b"/%61dmin%3b/x", GUARDED),
    Attack("encoded twice", b"/%2561dmin/x", OPEN),
    Attack("slash encoded twice", b"/admin%252fx", OPEN),
    Attack("parameter encoded twice", b"/admin%253bv/x", OPEN),
    Attack("dots encoded twice", b"/public/%252e%252e/admin/x", OPEN),
    # dot segments
    Attack("dot segments", b"/public/../admin/x", REFUSED),
    Attack("dot segment in front", b"/./admin/x", REFUSED),
    Attack("dot segments in front", b"/../admin/x", REFUSED),
    Attack("dot segment within", b"/admin/./x", REFUSED),
    Attack("dot segment at the end", b"/admin/x/.", REFUSED),
    Attack("dot segments at the end", b"/admin/x/y/..", REFUSED),
    Attack("dot segments behind slashes", b"/public//../admin/x", REFUSED),
    Attack("encoded dot", b"/admin/%2e/x", REFUSED),
    Attack("encoded dots", b"/public/%2E%2e/admin/x", REFUSED),
    Attack("half encoded dots", b"/public/.%2e/admin/x", REFUSED),
    Attack("dots with a parameter", b"/public/..;/admin/x", REFUSED),
    Attack("dots with an encoded parameter", b"/public/..%3bv/admin/x", REFUSED),
    Attack("encoded dots with a parameter", b"/public/%2e%2e;v=1/admin/x", REFUSED),
    Attack("dot with a parameter", b"/admin/.;/x", REFUSED),
    Attack("dots between encoded slashes", b"/public%2f..%2fadmin/x", REFUSED),
    Attack("dots in a parameter", b"/public;a%2f..%2f../admin/x", REFUSED),
    Attack("three dots", b"/.../admin/x", OPEN),
    Attack("name that begins with a dot", b"/.admin/x", OPEN),
    # encoded separators
    Attack("encoded slash", b"/admin%2fx", REFUSED),
    Attack("encoded slash in capitals", b"/admin%2Fx", REFUSED),
    Attack("encoded slash in front", b"/%2fadmin/x", REFUSED),
    Attack("encoded slash at the end", b"/admin/x%2f", REFUSED),
    Attack("encoded slash in a parameter", b"/admin/x;a=%2f", REFUSED),
    Attack("encoded backslash", b"/admin%5cx", REFUSED),
    Attack("dots between encoded backslashes", b"/public%5c..%5Cadmin/x", REFUSED),
    Attack("backslash", b"/admin\\x", REFUSED),
    Attack("dots between backslashes", b"/public\\..\\admin/x", REFUSED),
    Attack("fullwidth solidus", b"/public%EF%BC%8Fadmin/x", OPEN),
    # control characters and spaces
    Attack("encoded NUL", b"/admin/x%00", REFUSED),
    Attack("encoded tab", b"/admin%09/x", REFUSED),
    Attack("encoded line feed", b"/admin/x%0a", REFUSED),
    Attack("encoded line break", b"/admin/x%0d%0A", REFUSED),
    Attack("encoded delete", b"/admin/x%7f", REFUSED),
    Attack("NUL", b"/admin/x\0", REFUSED),
    Attack("tab", b"/admin\t/x", REFUSED),
    Attack("control character", b"/admin/x\x01", REFUSED),
    Attack("delete", b"/admin/x\x7f", REFUSED),
    Attack("line feed", b"/admin/x\n", REFUSED),
    Attack("space", b"/admin /x", REFUSED),
    Attack("encoded space", b"/admin%20/x", OPEN),
    Attack("dot at the end of a name", b"/admin./x", OPEN),
    Attack("another case", b"/Admin/x", OPEN),
    # encodings
    Attack("escape cut off", b"/admin/x%", REFUSED),
    Attack("half an escape", b"/admin/x%2", REFUSED),
    Attack("no escape", b"/admin/x%zz", REFUSED),
    Attack("escape of IIS", b"/%u0061dmin/x", REFUSED),
    Attack("slash as escape of IIS", b"/admin%u002fx", REFUSED),
    Attack("overlong slash", b"/admin%c0%afx", REFUSED),
    Attack("overlong dots", b"/public/%c0%ae%c0%ae/admin/x", REFUSED),
    Attack("overlong letter", b"/%c1%a1dmin/x", REFUSED),
    Attack("overlong slash of three bytes", b"/admin%e0%80%afx", REFUSED),
    Attack("overlong slash of four bytes", b"/admin%f0%80%80%afx", REFUSED),
    Attack("overlong NUL", b"/admin/x%c0%80", REFUSED),
    Attack("no UTF-8", b"/admin/x%ff", REFUSED),
    Attack("half a character", b"/admin/x%c3", REFUSED),
    Attack("surrogate", b"/admin/x%ed%a0%80", REFUSED),
    Attack("raw UTF-8", b"/admin/x\xc3\xa9", REFUSED),
    # fragments
    Attack("fragment", b"/admin/x#y", REFUSED),
    Attack("empty fragment", b"/admin/x#", REFUSED),
    Attack("fragment behind the query", b"/admin/x?y#z", REFUSED),
    # forms of the target
    Attack("absolute", b"http://h/admin/x", GUARDED),
    Attack("absolute, in capitals", b"HTTP://H/admin/x", GUARDED),
    Attack("absolute, https", b"https://h/admin/x", GUARDED),
    Attack("absolute, with a port", b"http://h:80/admin/x?y", GUARDED),
    Attack("absolute, two slashes", b"http://h//admin/x", GUARDED),
    Attack("absolute, parameters", b"http://h/;a/%61dmin;b/x", GUARDED),
    Attack("absolute, encoded slash", b"http://h/admin%2fx", REFUSED),
    Attack("absolute, dots", b"http://h/public/..;/admin/x", REFUSED),
    Attack("absolute, fragment", b"http://h/admin/x#y", REFUSED),
    Attack("absolute, user", b"http://user@h/admin/x", REFUSED),
    Attack("absolute, user that looks like a host", b"http://h:80@evil/admin/x", REFUSED),
    Attack("absolute, backslash in the host", b"http://h\\@evil/admin/x", REFUSED),
    Attack("absolute, no host", b"http:///admin/x", REFUSED),
    Attack("absolute, no host and two slashes", b"http:////admin/x", REFUSED),
    Attack("absolute, no slashes", b"http:admin/x", REFUSED),
    Attack("absolute, one slash", b"http:/admin/x", REFUSED),
    Attack("absolute, half an address", b"http://[::1/admin/x", REFUSED),
    Attack("absolute, another scheme", b"ftp://h/admin/x", REFUSED),
    Attack("absolute, path in the query", b"http://h?/admin/x", OPEN),
    Attack("no slash in front", b"admin/x", REFUSED),
    Attack("query alone", b"?/admin/x", REFUSED),
    Attack("asterisk", b"*", REFUSED),
    Attack("asterisk with a path", b"*/admin/x", REFUSED),
    Attack("authority", b"h:80", REFUSED),
)
