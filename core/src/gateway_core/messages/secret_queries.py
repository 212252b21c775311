"""Hides the values of query parameters wherever a URL is shown: in access logs, in spans."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import unquote_plus

HIDDEN: Final = "REDACTED"
"""Stands for what is hidden."""

SECRET_PARAMETERS: Final = (
    "access_key", "access_token", "accesstoken", "api_key", "apikey", "assertion", "auth", "auth_token",
    "awsaccesskeyid", "client_assertion", "client_secret", "code", "code_verifier", "id_token", "id_token_hint", "jwt",
    "key", "logout_token", "otp", "passphrase", "passwd", "password", "private_key", "private_token", "pwd",
    "refresh_token", "samlresponse", "secret", "session", "session_id", "session_token", "sessionid", "sig",
    "signature", "subscription_key", "token", "x-amz-credential", "x-amz-security-token", "x-amz-signature",
    "x-goog-credential", "x-goog-signature",
)  # fmt: skip
"""Parameters whose values are credentials more often than not (RFC 6750 section 2.3, RFC 6749, signed URLs)."""

_SEPARATORS: Final = re.compile("([&;])")
_LONGEST_REMEMBERED: Final = 64
_MOST_REMEMBERED: Final = 1024


def _plain_name(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def make_query_mask(names: Iterable[str]) -> Callable[[str], str]:
    """Return a function that hides the values of these parameters in a query without its ``?``.

    Names are compared decoded, without regard to case, and with ``-`` for ``_``, since that is how an upstream reads
    them at its most lenient; ``*`` names every parameter.
    """
    hidden = frozenset(map(_plain_name, names))
    if not hidden:
        return lambda query: query
    everything = "*" in hidden
    # What was found of names as they were sent: clients and their programs use few.
    verdicts: dict[str, bool] = {}
    verdict_of = verdicts.get

    def hides(name: str) -> bool:
        verdict = everything or _plain_name(unquote_plus(name)) in hidden
        if len(name) <= _LONGEST_REMEMBERED:
            if len(verdicts) >= _MOST_REMEMBERED:
                verdicts.clear()
            verdicts[name] = verdict
        return verdict

    def masked(pair: str) -> str:
        name, equals, value = pair.partition("=")
        return f"{name}={HIDDEN}" if equals and value and hides(name) else pair

    def mask(query: str) -> str:
        if ";" not in query:
            if "&" not in query and not verdict_of(query.partition("=")[0], True):
                return query
            if not any(verdict_of(pair.partition("=")[0], True) for pair in query.split("&")):
                return query
        return "".join([masked(piece) for piece in _SEPARATORS.split(query)])

    return mask
