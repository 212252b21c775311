"""What KrakenD makes of the body of a backend's response: options of a call of the plugin `aggregate`.

KrakenD takes ``target``, keeps ``allow`` or removes ``deny``, applies ``mapping``, and puts the rest under ``group``,
in this order, which is that of `aggregate`. Names with dots are places in objects; lists are not looked into.
"""

from __future__ import annotations

from typing import Any, Final

from gateway_import.sections import Section

KEYS: Final = ("target", "allow", "whitelist", "deny", "blacklist", "mapping", "group", "is_collection")
_COLLECTION: Final = "collection"
"""The member that a response with ``is_collection``, which is a list, becomes."""


class ShapeError(ValueError):
    """A shape has no counterpart; the text is the reason."""


def is_shaped(backend: Section) -> bool:
    """Whether anything changes the body; reading marks no key."""
    values = backend.node.value
    found = [values[key].value for key in KEYS if key in values] if isinstance(values, dict) else []
    return any(value not in (None, "", False, "false") and value != [] for value in found)


def shape_of(backend: Section) -> dict[str, Any]:
    """Return the options of a call for what a backend's keys make of its response.

    :raises ShapeError: they make something that a call cannot.
    """
    is_list = bool(backend.boolean("is_collection"))
    target, group = backend.text("target"), backend.text("group")
    allow = backend.texts("allow") or backend.texts("whitelist")
    deny = backend.texts("deny") or backend.texts("blacklist")
    renamed = {old: new.partition(".")[0] for old, new in backend.texts_by_key("mapping").items()}
    backend.ignore(*KEYS)
    if is_list:
        return _list_shape(renamed.get(_COLLECTION, _COLLECTION), target=target, group=group, named=[*allow, *deny])
    made: dict[str, Any] = {}
    if target:
        made["take"] = _pointer(target)
    if allow:
        made["allow"] = [_pointer(name) for name in allow]  # beside it, KrakenD looks at no deny
    elif deny:
        made["deny"] = [_pointer(name) for name in deny]
    if renamed:
        made["rename"] = {f"/{_escaped(old)}": new for old, new in renamed.items()}
    if group:
        made["group"] = group
    return made


def _list_shape(name: str, *, target: str | None, group: str | None, named: list[str]) -> dict[str, Any]:
    if target or named:
        raise ShapeError("places are named in a response that is a list")
    if group:
        raise ShapeError(f"a list stands under {name!r} within {group!r}, and a call has one group")
    return {"group": name}


def _pointer(name: str) -> str:
    return "/" + "/".join(_escaped(each) for each in name.split("."))


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def members(shape: dict[str, Any]) -> set[str]:
    """Return the members of the response that a call is known to make."""
    if "group" in shape:
        return {shape["group"]}
    names = {pointer[1:].partition("/")[0] for pointer in shape.get("allow", ())}
    moved = {old[1:]: new for old, new in shape.get("rename", {}).items()}
    return {moved.get(name, name) for name in names}
