from __future__ import annotations

from gateway_core.admin.resources.paging import PageQuery, page_of
from hypothesis import given
from hypothesis import strategies as st


@given(total=st.integers(0, 50), limit=st.integers(1, 20))
def test_the_pages_have_every_item_once(total: int, limit: int) -> None:
    everything = [{"n": number} for number in range(total)]
    seen, offset = [], 0
    while True:
        page = page_of(everything, PageQuery(limit=limit, offset=offset))
        assert page["total"] == total
        seen += page["items"]
        if page["next"] is None:
            break
        offset = page["next"]

    assert seen == everything
