from __future__ import annotations

import pytest
from gateway_core.config import RewriteConfig, RewriteResponseConfig
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("written", "changes_path"),
    [
        ({"prefix": "/v2"}, True),
        ({"template": "/v2/:id"}, True),
        ({"host": "users.internal"}, False),
        ({"query": {"remove": ["debug"]}}, False),
        ({"prefix": "/", "host": "a:80", "query": {"set": {"source": "web"}}}, True),
    ],
)
def test_a_rewrite_changes_path_host_or_query(written: dict[str, object], changes_path: bool) -> None:
    assert RewriteConfig.model_validate(written).changes_path is changes_path


@pytest.mark.parametrize("model", [RewriteConfig, RewriteResponseConfig])
def test_a_rewrite_that_changes_nothing_is_refused(model: type[RewriteConfig]) -> None:
    with pytest.raises(ValidationError, match="changes nothing: give"):
        model.model_validate({})


def test_each_part_of_a_response_is_rewritten_only_if_asked() -> None:
    written = RewriteResponseConfig.model_validate({"location": True})

    assert (written.location, written.cookie_path, written.cookie_domain) == (True, False, False)
