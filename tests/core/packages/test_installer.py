from __future__ import annotations

from pathlib import Path

from gateway_core.packages.installer import find_installer
from uv import find_uv_bin

UV = str(find_uv_bin())


def test_the_installer_is_the_one_that_made_the_environment(tmp_path: Path) -> None:
    (tmp_path / "uv" / "pyvenv.cfg").parent.mkdir()
    (tmp_path / "uv" / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.9.1\n")
    (tmp_path / "venv" / "pyvenv.cfg").parent.mkdir()
    (tmp_path / "venv" / "pyvenv.cfg").write_text("home = /usr/bin\nprompt = uv\n")

    def name(environ: dict[str, str], prefix: str) -> str | None:
        installer = find_installer(environ, prefix=str(tmp_path / prefix))
        return None if installer is None else installer.name

    assert name({"UV": UV}, "uv") == "uv"
    assert name({"PATH": str(Path(UV).parent)}, "uv") == "uv"
    assert name({"UV": UV, "PATH": ""}, "venv") == "pip"
    assert name({"PATH": str(tmp_path)}, "uv") == "pip"
