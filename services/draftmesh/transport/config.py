"""Limits, deadlines and keepalive of servers and channels, as typed values."""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.errors import ConfigError
from draftmesh.core.ranges import require_not_negative

MAX_MESSAGE_BYTES = 32 << 20
"""A vocabulary of 256 thousand tokens takes about 5 MB, a prompt of a million ids about 3 MB."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One gRPC server."""

    listen: str = "127.0.0.1:0"
    """host:port; port 0 lets the system choose."""

    reuse_port: bool = False
    """Share the port with other processes (SO_REUSEPORT): the kernel spreads connections over them."""

    own_listen: str | None = None
    """A second host:port, of this process alone: where it is reached itself when ``listen`` is shared."""

    max_message_bytes: int = MAX_MESSAGE_BYTES
    """Largest message either way; a larger one ends its call with RESOURCE_EXHAUSTED."""

    max_pending_requests: int = 20_000
    """Calls that may wait to be taken up before gRPC starts to refuse some at random (its default is 1000)."""

    max_pending_requests_hard_limit: int = 30_000
    """Waiting calls above which gRPC refuses all."""

    max_concurrent_streams: int = 10_000
    """Open calls of one connection; above it the client's calls fail UNAVAILABLE."""

    keepalive_time_ms: int = 30_000
    """Idle time of a connection after which the server pings the client."""

    keepalive_timeout_ms: int = 10_000
    """Time without an answer to a ping after which the connection, with its calls, is dead."""

    drain_grace_s: float = 30.0
    """Time that open calls have to finish when the server stops."""

    reflection: bool = True
    """Serve grpc.reflection, so that tools such as grpcurl need no proto files."""

    def validate(self) -> None:
        """Raise ConfigError, naming the field, if a value makes no sense."""
        require_address("listen", self.listen, lowest_port=0)
        if self.own_listen is not None:
            require_address("own_listen", self.own_listen, lowest_port=0)
        if self.max_pending_requests_hard_limit < self.max_pending_requests:
            raise ConfigError("max_pending_requests_hard_limit must not be below max_pending_requests")
        require_not_negative(self, "drain_grace_s")


def require_address(name: str, address: str, *, lowest_port: int = 1) -> None:
    """Raise :class:`ConfigError`, naming the field, unless it is host:port; port 0 is for listening on a free one."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and lowest_port <= int(port) < 1 << 16):
        raise ConfigError(f"{name} must be host:port, got {address!r}")


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """One client connection."""

    max_message_bytes: int = MAX_MESSAGE_BYTES
    """Largest message either way."""

    keepalive_time_ms: int = 20_000
    """Idle time after which the server is pinged."""

    keepalive_timeout_ms: int = 10_000
    """Time without an answer to a ping after which the connection, with its calls, is dead."""

    initial_reconnect_backoff_ms: int = 100
    """Wait before the second attempt to connect; doubles from there."""

    max_reconnect_backoff_ms: int = 5_000
    """Longest wait between attempts to connect."""

    http_proxy: bool = False
    """Obey ``http_proxy`` of the environment; peers of one deployment do not go through it."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Deadlines of calls to a peer, in seconds."""

    unary_s: float = 10.0
    """GetInfo and other short calls."""

    open_s: float = 30.0
    """From opening a session's stream to the peer's ``Opened``; the peer may have to wait for memory."""

    send_s: float = 15.0
    """For a message on an open stream to be taken; a peer that stopped reading is gone."""

    tokenizer_s: float = 120.0
    """For all files of a tokenizer, or a vocabulary."""

    session_s: float = 86_400.0
    """Of a session's stream as a whole: a bound on what a forgotten one can hold."""

    watch_s: float = 86_400.0
    """Of a Watch stream; whoever watches opens it again."""
