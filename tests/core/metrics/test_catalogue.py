from __future__ import annotations

import re
from pathlib import Path

import pytest
from gateway_core.metrics import catalogue
from gateway_core.metrics.catalogue import CATALOGUE, DURATION_BOUNDS
from gateway_core.metrics.samples import Family


@pytest.mark.parametrize("family", CATALOGUE.values(), ids=lambda each: each.name)
def test_names_follow_prometheus_conventions(family: Family) -> None:
    assert re.fullmatch(r"gateway_[a-z0-9]+(_[a-z0-9]+)*", family.name)
    assert not family.name.endswith(("_total", "_info", "_count", "_sum", "_bucket"))
    if family.kind == "histogram":
        assert family.unit == "seconds"


@pytest.mark.parametrize("family", CATALOGUE.values(), ids=lambda each: each.name)
def test_texts_are_one_sentence_without_full_stop(family: Family) -> None:
    assert family.help[0].isupper()
    assert not family.help.endswith(".")


@pytest.mark.parametrize("family", CATALOGUE.values(), ids=lambda each: each.name)
def test_labels_are_words_that_no_format_has_for_itself(family: Family) -> None:
    assert len(set(family.labels)) == len(family.labels)
    assert not {"le", "quantile", "job", "instance"} & set(family.labels)


def test_durations_are_counted_from_a_millisecond_to_a_minute() -> None:
    assert DURATION_BOUNDS[0] == 0.001
    assert DURATION_BOUNDS[-1] == 60
    assert list(DURATION_BOUNDS) == sorted(set(DURATION_BOUNDS))


def test_every_metric_is_filled_somewhere() -> None:
    source = Path(catalogue.__file__).parents[1]
    texts = (file.read_text("utf-8") for file in source.rglob("*.py") if file.name != "catalogue.py")
    words = {word for text in texts for word in re.findall(r"\w+", text)}

    constants = {name for name, value in vars(catalogue).items() if isinstance(value, Family)}
    assert constants - words == set()
    assert len(constants) == len(CATALOGUE)
