from __future__ import annotations

import pytest
from gateway_plugin_kubernetes.selector import Selector


@pytest.mark.parametrize(
    ("text", "labels", "is_selected"),
    [
        ("app", {"app": "shop"}, True),
        ("app", {"tier": "web"}, False),
        ("!app", {"tier": "web"}, True),
        ("!app", {"app": ""}, False),
        ("app=shop", {"app": "shop"}, True),
        ("app == shop", {"app": "shop"}, True),
        ("app=shop", {"app": "shops"}, False),
        ("app=", {"app": ""}, True),
        ("app!=shop", {"app": "shop"}, False),
        ("app!=shop", {}, True),
        ("zone in (a, b)", {"zone": "b"}, True),
        ("zone in (a,b)", {"zone": "c"}, False),
        ("zone in (a,b)", {}, False),
        ("zone notin (a,b)", {"zone": "c"}, True),
        ("zone notin (a,b)", {"zone": "a"}, False),
        ("zone notin (a,b)", {}, True),
        ("app.kubernetes.io/name=shop,tier!=test, !old", {"app.kubernetes.io/name": "shop"}, True),
        ("app.kubernetes.io/name=shop,tier!=test,!old", {"app.kubernetes.io/name": "shop", "old": "1"}, False),
        ("in in (in),notin", {"in": "in", "notin": "x"}, True),
    ],
)
def test_a_selector_selects_as_kubectl_says(text: str, labels: dict[str, str], is_selected: bool) -> None:
    assert Selector.parse(text).selects(labels) is is_selected


@pytest.mark.parametrize(
    "text",
    ["", ",", "app=shop,", "app=shop tier=web", "=shop", "app in", "app in a", "app in (a b)", "app>>1", "a=b=c"],
)
def test_what_is_no_selector_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is no label selector"):
        Selector.parse(text)
