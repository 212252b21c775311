"""Which header fields may hold credentials, by their names: they are shown and recorded nowhere."""

from __future__ import annotations

import re
from typing import Final

_SECRET_WORDS: Final = re.compile(
    r"(?:^|[-_.])(?:x?auth(?:enticat\w*|orization|n|z)?|assertion|cert|certificate|cookies?\d?|credentials?|csrf|dpop|"
    r"jwt|\w*keys?|otp|pass\w*|proof|pwd|saml\w*|secrets?|session\w*|sid|sig|signature\w*|\w*tokens?|xsrf)"
    r"(?:$|[-_.])",
    re.IGNORECASE,
)
"""Words of ``Authorization``, ``Cookie``, ``X-Api-Key``, ``X-Amz-Security-Token``, ``X-Forwarded-Client-Cert`` ..."""


def may_be_secret(name: str) -> bool:
    """Return whether a field of this name holds credentials more often than not."""
    return _SECRET_WORDS.search(name) is not None
