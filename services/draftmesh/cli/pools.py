"""``draftmesh pools``: who drafts, who verifies, and with what success."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from draftmesh.cli.options import DEFAULT_ADDRESS, AddressOption
from draftmesh.cli.painting import report_console
from draftmesh.client import Client, PoolMember


def pools(*, address: AddressOption = DEFAULT_ADDRESS) -> None:
    """List the drafters and verifiers that a coordinator sees, and what drafting won with each."""
    with Client(address) as client:
        members = client.pools()
    report_console().print(_table(members))


def _table(members: Sequence[PoolMember]) -> Table:
    table = Table(box=None, header_style="bold")
    for column in (
        "pool",
        "model",
        "address",
        "ready",
        "trusted",
        "sessions",
        "acceptance",
        "accepted-bytes/s",
        "tokens",
    ):
        table.add_column(column, no_wrap=True)
    for member in members:
        ledger = member.ledger
        table.add_row(
            member.kind,
            member.model,
            member.address,
            "yes" if member.ready else "no",
            "yes" if member.trusted else "no",
            f"{member.load.active_sessions}/{member.load.max_sessions}",
            f"{ledger.acceptance_rate:.2f}" if ledger.drafted_tokens else "",
            f"{ledger.accepted_bytes_per_second:.0f}" if ledger.elapsed_ms else "",
            str(ledger.committed_tokens),
        )
    return table
