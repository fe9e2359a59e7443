"""Where a model's files are: in a folder, or on a model hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download

from draftmesh.core.errors import ConfigError


def model_folder(name: str, patterns: Sequence[str]) -> Path:
    """The folder that ``name`` is, or one with what the hub has under it.

    Args:
        name: A folder or hub name.
        patterns: Files that are wanted from a hub, such as ``*.json``.

    Raises:
        ConfigError: it is neither.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except Exception as error:  # whatever the hub's client raises: nothing is there
        raise ConfigError(f"{name} is no folder, and no model hub gave it: {error}") from error
