from __future__ import annotations

from gateway_core.hooks import IssuanceStatus
from gateway_core.metrics.samples import Samples
from gateway_core.process.certificate_expiry import Validity
from gateway_core.process.certificate_status import describe_certificates, put_issuance

HOUR = "1970-01-01T01:00:00+00:00"


def test_a_certificate_of_a_file_has_a_validity_and_no_issuance() -> None:
    [shown] = describe_certificates([(":443", Validity("a.test", 0, 3600))], [])

    assert (shown["name"], shown["not_after"], shown["issuance"]) == ("a.test", HOUR, None)


def test_one_that_is_ordered_has_both_and_one_that_is_not_there_yet_has_no_validity() -> None:
    ordered = [
        (":443", IssuanceStatus(["a.test", "b.test"], last_success=3600)),
        (":443", IssuanceStatus(["c.test"], last_failure=3600, error="away", next_attempt=3600)),
    ]

    first, second = describe_certificates([(":443", Validity("a.test", 0, 3600))], ordered)

    assert first["issuance"] == {
        "names": ["a.test", "b.test"], "is_failing": False, "last_success": HOUR, "last_failure": None, "error": "",
        "next_attempt": None,
    }  # fmt: skip
    assert (second["name"], second["not_before"], second["not_after"]) == ("c.test", None, None)
    assert (second["issuance"]["is_failing"], second["issuance"]["error"]) == (True, "away")


def test_the_same_name_of_another_listener_is_another_certificate() -> None:
    shown = describe_certificates(
        [(":443", Validity("a.test", 0, 3600))], [(":8443", IssuanceStatus(["a.test"], last_failure=1))]
    )

    assert [(each["listener"], each["issuance"] is None) for each in shown] == [(":443", True), (":8443", False)]


def test_metrics_have_when_a_certificate_was_issued_last_and_when_that_failed() -> None:
    samples = Samples()

    put_issuance(samples, [(":443", IssuanceStatus(["a.test"], last_success=5, last_failure=7))])

    assert samples.value("gateway_certificate_last_success_timestamp_seconds", ":443", "a.test") == 5
    assert samples.value("gateway_certificate_last_failure_timestamp_seconds", ":443", "a.test") == 7
