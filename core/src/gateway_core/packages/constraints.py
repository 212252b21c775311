"""What an installation of plugins may not change: the versions that the gateway and its plugins are known to run with.

pip resolves only what it is asked to install, and does not look at what else is installed: a plugin that wants an older
pluggy gets it, and the gateway cannot start any more. So pip is given as constraints what every installed distribution
that is part of the gateway requires, directly or not, and the versions of the gateway's own distributions. A conflict
then ends the installation in the resolver, before anything is changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from gateway_core.packages.distributions import distributions, normalized

_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_OWN: Final = ("gateway-core", "gateway-plugin-sdk")


class Distribution(NamedTuple):
    """An installed distribution, as far as its requirements go."""

    version: str
    requires: Sequence[str]
    """Requirements as its metadata has them (PEP 508)."""


class Constraint(NamedTuple):
    """One line of a constraints file."""

    name: str
    text: str
    origin: str
    """The distribution that requires it, with its version."""


def installed_distributions() -> dict[str, Distribution]:
    """Return what is installed, by normalized name (PEP 503); what cannot be read is left out. Blocks."""
    found: dict[str, Distribution] = {}
    for each in distributions():
        try:
            name, version, requires = each.name, each.version, tuple(each.requires or ())
        except Exception:  # noqa: BLE001, S112 - importlib_metadata raises what its parsers do
            continue
        found.setdefault(normalized(name), Distribution(version, requires))
    return found


def constraints(
    installed: Mapping[str, Distribution], plugins: Collection[str], named: Collection[str]
) -> list[Constraint]:
    """Return what the gateway and the plugins that are installed need.

    :param plugins: the distributions that publish plugins.
    :param named: the distributions that are to be installed, so that their own versions may change.
    """
    excluded = {normalized(name) for name in named}
    roots = [name for name in dict.fromkeys((*_OWN, *map(normalized, plugins))) if name in installed]
    found = [
        Constraint(name, f"{name}=={installed[name].version}", "the gateway itself")
        for name in _OWN
        if name in installed and name not in excluded
    ]
    seen, queue = set(roots), [name for name in roots if name not in excluded]
    while queue:
        name = queue.pop()
        origin = f"{name} {installed[name].version}"
        for required, text in _required(installed[name].requires):
            if text:
                found.append(Constraint(required, f"{required}{text}", origin))
            if required in installed and required not in seen and required not in excluded:
                seen.add(required)
                queue.append(required)
    return found


def _required(requires: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield name and the rest (versions and marker) of requirements that hold without an extra."""
    for each in requires:
        name, rest = _parts(each)
        versions, _, marker = rest.partition(";")
        if "extra" in marker or versions.strip().startswith("@"):
            continue
        versions = versions.strip().strip("()").strip()
        yield normalized(name), f"{versions} ; {marker.strip()}" if versions and marker else versions


def _parts(requirement: str) -> tuple[str, str]:
    """Return name and the rest of a requirement, without its extras."""
    text = requirement.strip()
    match = _NAME.match(text)
    name = "" if match is None else match[0]
    rest = text[len(name) :].strip()
    if rest.startswith("["):
        rest = rest.partition("]")[2].strip()
    return name, rest


def names_of(arguments: Sequence[str]) -> list[str]:
    """Return the distributions that pip's arguments name; folders and files are not among them."""
    found = []
    for argument in arguments:
        is_file = "/" in argument or argument.endswith((".whl", ".tar.gz", ".zip"))
        name, _ = _parts(argument)
        if name and not is_file and not argument.startswith("-"):
            found.append(normalized(name))
    return found


def explain_conflict(output: str, known: Sequence[Constraint]) -> list[str]:
    """Return what the gateway needs of the distributions that the installer calls a conflict.

    :param output: what it printed: pip marks constraints, uv has names with the versions that do not fit.
    """
    lines = []
    output = output.lower()
    for each in known:
        name = re.escape(each.name)
        if re.search(rf"\(constraint\) {name}(?![A-Za-z0-9._-])|(?<![A-Za-z0-9._-]){name}[<>=!~]", output):
            lines.append(f"{each.text} is needed by {each.origin}")
    return list(dict.fromkeys(lines))
