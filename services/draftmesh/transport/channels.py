"""Client connections."""

from __future__ import annotations

import asyncio

import grpc

from draftmesh.transport.config import ChannelConfig


def open_channel(address: str, config: ChannelConfig | None = None) -> grpc.aio.Channel:
    """A channel to ``host:port``, to be closed by the caller (``async with``); it connects when first used.

    gRPC's asyncio objects belong to the event loop in which they are made, so there must be a running one.
    """
    asyncio.get_running_loop()
    return grpc.aio.insecure_channel(address, options=channel_options(config or ChannelConfig()))


def channel_options(config: ChannelConfig) -> list[tuple[str, int]]:
    """The channel arguments of a configuration."""
    return [
        ("grpc.max_send_message_length", config.max_message_bytes),
        ("grpc.max_receive_message_length", config.max_message_bytes),
        ("grpc.keepalive_time_ms", config.keepalive_time_ms),
        ("grpc.keepalive_timeout_ms", config.keepalive_timeout_ms),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", config.initial_reconnect_backoff_ms),
        ("grpc.min_reconnect_backoff_ms", config.initial_reconnect_backoff_ms),
        ("grpc.max_reconnect_backoff_ms", config.max_reconnect_backoff_ms),
        ("grpc.enable_http_proxy", int(config.http_proxy)),
        ("grpc.use_local_subchannel_pool", 1),  # otherwise channels of equal arguments share one connection
    ]
