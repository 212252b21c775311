"""``gateway run --locked``: the lock file as one more check of every configuration.

The path travels in the environment, so that whatever process validates next (at the start, for a reload, after a
restart) refuses drift, before it imports a plugin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway_core.cli.plugins_lock import problems_with
from gateway_core.config import ConfigError, ConfigProblem, Place
from gateway_core.packages import PluginRegistry
from gateway_core.packages.locking import LockError
from gateway_core.process.locked import LOCK_VARIABLE


def check_lock(paths: Sequence[Path], environ: Mapping[str, str]) -> None:
    """Refuse every configuration while the installed plugins are not as they were locked.

    :param paths: the files and directories of the configuration, which stay watched.
    :raises ConfigError: with a problem for each plugin that is not.
    """
    path = environ.get(LOCK_VARIABLE)
    if not path:
        return
    try:
        # A registry of its own: the caller's goes on to know which plugins the configuration made it load.
        drift = problems_with(Path(path), PluginRegistry())
    except LockError as error:
        drift = [str(error)]
    if drift:
        problems = [ConfigProblem(Place(path), "", text, code="plugin.not-as-locked") for text in drift]
        files = [each for each in paths if not each.is_dir()]
        raise ConfigError(problems, files=[*files, Path(path)], directories=[each for each in paths if each.is_dir()])
