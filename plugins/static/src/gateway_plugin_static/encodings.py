"""Which precompressed variant of a file a client gets (RFC 9110 section 12.5.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

Coding = Literal["br", "zstd", "gzip"]

ENDINGS: Final[dict[Coding, str]] = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
"""What the names of variants end in."""

_LONGEST: Final = 500
"""Characters of Accept-Encoding that are looked at: real ones have 40."""


def accepted_codings(accepted: str | None, offered: Sequence[Coding]) -> list[Coding]:
    """Return the codings that a client accepts, the one that it likes most first, then in the order of the offer.

    What it likes less than the plain file is left out.
    """
    if accepted is None or len(accepted) > _LONGEST:
        return []
    weights: dict[str, float] = {}
    for element in accepted.lower().split(","):
        name, _, parameters = element.partition(";")
        weights[name.strip(" \t").removeprefix("x-")] = _weight(parameters)
    others = weights.get("*", 0.0)
    plain = weights.get("identity", 0.0)
    wanted = {coding: weights.get(coding, others) for coding in offered}
    return sorted(
        (coding for coding in offered if wanted[coding] > 0 and wanted[coding] >= plain), key=lambda each: -wanted[each]
    )


def _weight(parameters: str) -> float:
    """Return the weight that ``q=0.5`` gives; what cannot be read is no wish for the coding."""
    if not parameters.strip(" \t"):
        return 1.0
    name, _, value = parameters.partition("=")
    try:
        weight = (
            float(value) if name.strip(" \t") == "q" and value.strip(" \t").replace(".", "", 1).isdecimal() else 0.0
        )
    except ValueError:
        return 0.0
    return min(1.0, weight)
