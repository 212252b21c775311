"""Files of certificates, as `gateway check` looks at them: by the calls that load them at the start.

Not part of the stable contract: the gateway's own plugins use it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway_plugin_sdk import ConfigFile, ConfigFinding, client_tls_context

ConfigPath = tuple[str | int, ...]


def certificate_findings(
    path: ConfigPath, files: Mapping[str, str | Path | ConfigFile | None]
) -> Iterator[ConfigFinding]:
    """Yield what keeps these files from being used.

    :param path: where the options are in the plugin's configuration.
    :param files: those of ``ca``, ``cert`` and ``key`` that are configured.
    """
    given = {option: str(name) for option, name in files.items() if name is not None}
    unusable = False
    for option, name in given.items():
        if not Path(name).is_file():
            # A FIFO would make OpenSSL wait without end.
            unusable, exists = True, Path(name).exists()
            text = f"{name!r} is not a regular file" if exists else f"there is no file {name!r}: create it"
            code = "file-unreadable" if exists else "file-missing"
            yield ConfigFinding((*path, option), f"{text}, or correct the path", code=code)
    if unusable or not given:
        return
    try:
        client_tls_context(given.get("ca", ""), given.get("cert", ""), given.get("key", ""))
    except ValueError as error:
        text = f"{error}: they are no certificates and key in PEM that belong together"
        yield ConfigFinding(path, text, code="file-invalid")
