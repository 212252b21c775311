from __future__ import annotations

import pytest
from gateway_core.metrics.samples import Distribution, Family, Samples
from hypothesis import given
from hypothesis import strategies as st

HITS = Family("hits", "counter", "Hits", ("route",), "max")
TOOK = Family("took_seconds", "histogram", "Time", ("route",))


@given(st.dictionaries(st.text(), st.floats(allow_nan=False)), st.lists(st.integers(0), min_size=3, max_size=3))
def test_what_is_dumped_is_loaded_as_it_was(values: dict[str, float], counts: list[int]) -> None:
    samples = Samples()
    samples.put(HITS, [((name,), value) for name, value in values.items()])
    samples.put(TOOK, [(("r",), Distribution(counts, 1.5))], (0.1, 1.0))

    loaded = Samples.load(samples.dump())

    assert loaded.series == samples.series


@pytest.mark.parametrize("data", [b"", b"{}x", b"[1]", b"[[]]", b'[[["a"], [], []]]', b'{"a": 1}'])
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not samples"):
        Samples.load(data)


def test_the_unit_of_a_family_is_what_its_name_ends_with() -> None:
    assert TOOK.unit == "seconds"
    assert Family("sent_bytes", "counter", "Bytes").unit == "bytes"
    assert HITS.unit == ""
