"""Session ids: unguessable, and naming the shard that owns the session, so that any shard can forward."""

from __future__ import annotations

import re
import secrets

from draftmesh.core.errors import UnknownSessionError

_PATTERN = re.compile(r"s(0|[1-9][0-9]{0,5})-[0-9a-f]{32}")


def new_session_id(shard: int) -> str:
    """An id for a session of this shard: ``s<shard>-<32 hexadecimal digits>``."""
    return f"s{shard}-{secrets.token_hex(16)}"


def shard_of(session_id: str) -> int:
    """The shard that owns a session.

    Raises:
        UnknownSessionError: nothing that we ever made.
    """
    match = _PATTERN.fullmatch(session_id)
    if match is None:
        raise UnknownSessionError("this is not a session id")
    return int(match[1])
