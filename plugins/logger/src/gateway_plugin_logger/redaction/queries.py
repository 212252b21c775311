"""Hides the values of query parameters wherever a URL is logged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from gateway_plugin_sdk import SECRET_PARAMETERS, make_query_mask

from gateway_plugin_logger.redaction.masks import HIDDEN

__all__ = ["LOGIN_PARAMETERS", "SECRET_PARAMETERS", "make_query_mask", "make_url_mask", "plain_name"]

LOGIN_PARAMETERS: Final = ("nonce", "state")
"""Those that are credentials in a redirect to a login (RFC 9700 section 4.2.4), and have other meanings elsewhere."""


def plain_name(name: str) -> str:
    """Return a parameter's name as it is compared: in lower case, with ``_`` for ``-``."""
    return name.strip().lower().replace("-", "_")


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
