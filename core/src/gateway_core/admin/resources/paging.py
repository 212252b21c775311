"""Lists of thousands of objects in pages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from gateway_core.admin.operation import ApiModel


class PageQuery(ApiModel):
    """Which page of a list."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Most items that are returned."""
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    """Items that are left out at the beginning."""
    q: Annotated[str, Field(max_length=200)] = ""
    """Text that an item has to contain, whatever its case."""


class Page(ApiModel):
    """A part of a list."""

    items: list[dict[str, Any]]
    """The items of this page."""
    total: int
    """Items of all pages."""
    next: int | None
    """The offset of the next page; null on the last one."""


def page_of(found: Sequence[dict[str, Any]], query: PageQuery) -> dict[str, Any]:
    """Return a page of what was found, ready for JSON."""
    end = query.offset + query.limit
    return {"items": list(found[query.offset : end]), "total": len(found), "next": end if end < len(found) else None}
