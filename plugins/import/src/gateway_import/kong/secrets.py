"""Secrets of Kong's configuration, as variables of the environment.

References to Kong's vault of environment variables and decK's ``${{ env "NAME" }}`` name a variable already; every
other secret gets a new one.
"""

from __future__ import annotations

import re
from typing import Final

from gateway_import.failures import Origin
from gateway_import.model import EnvReference, EnvVariable, Imported

_VAULT: Final = re.compile(r"\{vault://([a-z0-9-]{1,60})/([A-Za-z0-9_./-]{1,200})\}")
_DECK: Final = re.compile(r"\$\{\{ {0,4}env \"([A-Za-z_][A-Za-z0-9_]{0,100})\" {0,4}\}\}")


def is_reference(value: object) -> bool:
    """Whether a text stands for a secret that is kept elsewhere."""
    return isinstance(value, str) and (_VAULT.fullmatch(value) is not None or _DECK.fullmatch(value) is not None)


def secret(imported: Imported, value: str, name: str, what: str, origin: Origin) -> EnvReference:
    """Return the variable that stands for a secret."""
    if (deck := _DECK.fullmatch(value)) is not None:
        return _named(imported, deck[1], what, origin)
    vault = _VAULT.fullmatch(value)
    if vault is not None and vault[1] == "env":
        # Kong's vault of the environment reads {vault://env/my-secret} from MY_SECRET.
        return _named(imported, vault[2].partition("/")[0].upper().replace("-", "_"), what, origin)
    what = f"{what}, which was in the vault {vault[1]!r}" if vault is not None else what
    return imported.secret(f"kong {name}", what, origin)


def _named(imported: Imported, name: str, what: str, origin: Origin) -> EnvReference:
    variable = EnvVariable(name, origin, what)
    if all(each.name != name for each in imported.variables):
        imported.variables.append(variable)
    return EnvReference(name)
