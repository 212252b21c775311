"""Certificates of listeners from a folder that another program keeps up to date."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from gateway_plugin_sdk import Certificate, CertificateContext, ConfigModel

LOOK_EVERY: Final = 1.0


class CertificatesFolderConfig(ConfigModel):
    """Where the certificates are."""

    folder: Path
    """For each name two files, such as ``example.com.crt`` and ``example.com.key``, both PEM."""


def read_certificates(folder: Path) -> tuple[Certificate, ...]:
    """Read a folder; a certificate without a key is left out, since it may be about to come.

    :raises OSError: a file cannot be read.
    """
    return tuple(
        Certificate([chain.stem], chain.read_bytes(), chain.with_suffix(".key").read_bytes())
        for chain in sorted(folder.glob("*.crt"))
        if chain.with_suffix(".key").is_file()
    )


class CertificatesFolder:
    """Looks at a folder once a second."""

    config_model = CertificatesFolderConfig

    def __init__(self, config: CertificatesFolderConfig, context: CertificateContext) -> None:  # noqa: ARG002  # the interface
        if not config.folder.is_dir():
            raise ValueError(f"folder: there is no directory {str(config.folder)!r}: create it")
        self._folder = config.folder

    async def certificates(self) -> AsyncIterator[Sequence[Certificate]]:
        """Yield all certificates when one changed; that a file cannot be read is for the gateway to report."""
        last: tuple[Certificate, ...] | None = None
        while True:
            found = await asyncio.to_thread(read_certificates, self._folder)
            if found != last:
                last = found
                yield found
            await asyncio.sleep(LOOK_EVERY)
