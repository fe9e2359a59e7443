"""core.Ledger ↔ protobuf; the fields have the same names on both sides."""

from __future__ import annotations

from dataclasses import fields

from draftmesh.core.ledger import Ledger
from draftmesh.v1 import coordinator_pb2

_REPEATED = ("accepted_per_position", "drafted_per_position")


def ledger_to_proto(ledger: Ledger) -> coordinator_pb2.Ledger:
    """The ledger as a message."""
    return coordinator_pb2.Ledger(**{field.name: getattr(ledger, field.name) for field in fields(ledger)})


def ledger_from_proto(message: coordinator_pb2.Ledger) -> Ledger:
    """The message as a ledger."""
    values = {field.name: getattr(message, field.name) for field in fields(Ledger)}
    return Ledger(**{**values, **{name: tuple(values[name]) for name in _REPEATED}})
