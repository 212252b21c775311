from __future__ import annotations

import json

import pytest
from gateway_core.hooks import CommandError, CommandOutcome
from gateway_core.process.commands import CommandReport, outcome_of, outcome_to_plain

DONE = CommandOutcome("done", result=[1])
FAILED = CommandOutcome("failed", error="ValueError: no")
UNKNOWN = CommandOutcome("unknown", error="there is none")
REFUSED = CommandOutcome("refused", error="key: is missing")


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ([DONE, DONE], 200),
        ([UNKNOWN, UNKNOWN], 404),
        ([REFUSED, REFUSED], 422),
        ([REFUSED, UNKNOWN], 422),
        ([DONE, FAILED], 500),
        ([DONE, UNKNOWN], 500),
        ([], 503),
    ],
)
def test_the_status_says_what_became_of_it_in_all_workers(outcomes: list[CommandOutcome], status: int) -> None:
    assert CommandReport(list(enumerate(outcomes))).status == status


def test_each_worker_has_an_entry() -> None:
    report = CommandReport([(0, DONE), (3, FAILED)])

    assert report.entries() == [{"worker": 0, "result": [1]}, {"worker": 3, "error": "ValueError: no"}]
    with pytest.raises(CommandError, match="worker 3: ValueError: no"):
        report.results()
    assert CommandReport([(0, DONE), (1, DONE)]).results() == [[1], [1]]
    with pytest.raises(CommandError, match="no worker serves"):
        CommandReport([]).results()


async def test_a_worker_that_is_gone_has_failed() -> None:
    async def gone() -> dict[str, str]:
        raise OSError("it ended")

    async def done() -> dict[str, object]:
        return dict(json.loads(json.dumps(outcome_to_plain(DONE))))

    assert await outcome_of(done(), 1) == (1, DONE)
    number, outcome = await outcome_of(gone(), 2)
    assert (number, outcome.kind, outcome.error) == (2, "failed", "the worker ended or did not reply: it ended")
