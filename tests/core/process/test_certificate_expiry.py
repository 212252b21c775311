from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ListenTlsConfig
from gateway_core.process.certificate_expiry import validities
from gateway_core.process.certificates import load_certificates

from tests.core.process.certificates import make


def named(name: str) -> Any:
    return ((("commonName", name),),)


def certificate(name: str, issuer: str, year: int) -> dict[str, Any]:
    valid = {"notBefore": "Jan  1 00:00:00 2019 GMT", "notAfter": f"Jan  1 00:00:00 {year} GMT"}
    return {"subject": named(name), "issuer": named(issuer), **valid}


def years(*issuers: dict[str, Any]) -> list[tuple[str, int]]:
    start = ssl.cert_time_to_seconds("Jan  1 00:00:00 1970 GMT")
    found = validities("shop", certificate("shop", "one", 2030), issuers)
    return [(each.name, 1970 + round((each.not_after - start) / 31_557_600)) for each in found]


@pytest.mark.parametrize(
    ("issuers", "earlier"),
    [
        ([], []),
        ([certificate("one", "root", 2040)], []),
        ([certificate("one", "root", 2025)], [("one (issuer of shop)", 2025)]),
        ([certificate("two", "root", 2025)], []),
        (
            [certificate("two", "root", 2020), certificate("one", "two", 2025)],
            [("one (issuer of shop)", 2025), ("two (issuer of shop)", 2020)],
        ),
        ([certificate("two", "root", 2020), certificate("one", "two", 2035)], [("two (issuer of shop)", 2020)]),
        ([certificate("one", "root", 2040), certificate("one", "old", 2020)], []),
        ([certificate("one", "one", 2020)], []),
        ([certificate("one", "two", 2035), certificate("two", "one", 2035)], []),
    ],
)
def test_an_issuer_that_expires_first_is_told(issuers: list[dict[str, Any]], earlier: list[tuple[str, int]]) -> None:
    assert years(*issuers) == [("shop", 2030), *earlier]


def test_an_issuer_in_the_file_of_a_listener_is_found(tmp_path: Path) -> None:
    root = make(tmp_path, "root")
    extensions = tmp_path / "extensions"
    extensions.write_text("[ca]\nbasicConstraints = critical,CA:TRUE\n[leaf]\nsubjectAltName = DNS:shop.test\n")

    def issue(name: str, by: str, kind: str, days: str) -> str:
        key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            f"{tmp_path}/{name}.key",
        ]
        request = ["openssl", "req", "-new", *key, "-subj", f"/CN={name}", "-out", f"{tmp_path}/{name}.csr"]
        signer = ["-CA", f"{tmp_path}/{by}.crt", "-CAkey", f"{tmp_path}/{by}.key", "-CAcreateserial", "-days", days]
        files = ["-in", f"{tmp_path}/{name}.csr", "-out", f"{tmp_path}/{name}.crt"]
        sign = ["openssl", "x509", "-req", *signer, *files, "-extfile", str(extensions), "-extensions", kind]
        for command in (request, sign):
            subprocess.run(command, check=True, capture_output=True)
        return (tmp_path / f"{name}.crt").read_text()

    issuer = issue("issuer", "root", "ca", "1")
    (tmp_path / "chain.pem").write_text(issue("shop", "issuer", "leaf", "30") + issuer + root.cert.read_text())

    loaded = load_certificates(ListenTlsConfig(cert=str(tmp_path / "chain.pem"), key=str(tmp_path / "shop.key")))

    assert [each.name for each in loaded.validities] == ["shop.test", "issuer (issuer of shop.test)"]
    flaws = [flaw.text for flaw in loaded.flaws(loaded.validities[1].not_after + 1)]
    assert len(flaws) == 1
    assert flaws[0].startswith("the certificate for issuer (issuer of shop.test) has expired on ")
