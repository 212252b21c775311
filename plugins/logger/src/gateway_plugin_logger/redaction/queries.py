"""Hides the values of query parameters wherever a URL is logged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final
from urllib.parse import unquote_plus

from gateway_plugin_logger.redaction.masks import HIDDEN

SECRET_PARAMETERS: Final = (
    "access_key", "access_token", "accesstoken", "api_key", "apikey", "assertion", "auth", "auth_token",
    "client_assertion", "client_secret", "code", "code_verifier", "id_token", "id_token_hint", "jwt", "key",
    "logout_token", "otp", "passphrase", "passwd", "password",
    "private_key", "private_token", "pwd", "refresh_token", "samlresponse", "secret", "session", "session_id",
    "session_token", "sessionid", "sig", "signature", "subscription_key", "token", "x-amz-credential",
    "x-amz-security-token", "x-amz-signature", "x-goog-credential", "x-goog-signature",
)  # fmt: skip
"""Parameters whose values are credentials more often than not (RFC 6750 section 2.3, RFC 6749, signed URLs)."""
LOGIN_PARAMETERS: Final = ("nonce", "state")
"""Those that are credentials in a redirect to a login (RFC 9700 section 4.2.4), and have other meanings elsewhere."""

_SEPARATORS: Final = re.compile("([&;])")
_LONGEST_REMEMBERED: Final = 64
_MOST_REMEMBERED: Final = 1024


def plain_name(name: str) -> str:
    """Return a parameter's name as it is compared: in lower case, with ``_`` for ``-``."""
    return name.strip().lower().replace("-", "_")


def make_query_mask(names: Iterable[str]) -> Callable[[str], str]:
    """Return a function that hides the values of these parameters in a query without its ``?``.

    Names are compared decoded, without regard to case, and with ``-`` for ``_``, since that is how an upstream reads
    them at its most lenient; ``*`` names every parameter.
    """
    hidden = frozenset(map(plain_name, names))
    if not hidden:
        return lambda query: query
    everything = "*" in hidden
    # What was found of names as they were sent: clients and their programs use few.
    verdicts: dict[str, bool] = {}
    verdict_of = verdicts.get

    def hides(name: str) -> bool:
        verdict = everything or plain_name(unquote_plus(name)) in hidden
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


def make_url_mask(names: Iterable[str]) -> Callable[[str], str]:
    """Return a function that hides these parameters in the query and fragment of a URL, and its user's password."""
    mask_query = make_query_mask(names)
    password = re.compile(r"^([a-z][a-z0-9+.-]*://[^/?#@:]*):[^/?#@]*@", re.IGNORECASE)

    def mask(url: str) -> str:
        if "@" in url:
            url = password.sub(rf"\1:{HIDDEN}@", url)
        rest, hash_mark, fragment = url.partition("#")
        path, question, query = rest.partition("?")
        if question:
            rest = f"{path}?{mask_query(query)}"
        return f"{rest}#{mask_query(fragment)}" if hash_mark else rest

    return mask
