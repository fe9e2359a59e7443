"""``draftmesh verifier``, ``draftmesh drafter``, ``draftmesh coordinator``: one daemon in this process."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Annotated, Any

from draftmesh.cli.options import Flat, LogOptions
from draftmesh.coordinator.config import CoordinatorConfig
from draftmesh.drafter.config import DrafterConfig
from draftmesh.telemetry.logs import configure_logging
from draftmesh.transport import event_loop
from draftmesh.verifier.config import VerifierConfig


def verifier(*, config: Annotated[VerifierConfig, Flat], log: Annotated[LogOptions, Flat] = LogOptions()) -> None:
    """Run one verifier: a target model that judges drafts. SIGTERM drains it."""
    from draftmesh.verifier import app  # noqa: PLC0415 (torch, which --help can do without)

    _run(app.run(config), log)


def drafter(
    *, config: Annotated[DrafterConfig, Flat] = DrafterConfig(), log: Annotated[LogOptions, Flat] = LogOptions()
) -> None:
    """Run one drafter: a small model, or none at all, that proposes text. SIGTERM drains it."""
    from draftmesh.drafter import app  # noqa: PLC0415 (torch, which --help can do without)

    _run(app.run(config), log)


def coordinator(
    *, config: Annotated[CoordinatorConfig, Flat] = CoordinatorConfig(), log: Annotated[LogOptions, Flat] = LogOptions()
) -> None:
    """Run one coordinator shard, for drafters and verifiers that are given by address. SIGTERM drains it."""
    from draftmesh.coordinator import app  # noqa: PLC0415

    _run(app.run(config), log)


def _run(work: Coroutine[Any, Any, None], log: LogOptions) -> None:
    configure_logging(log.log_format, log.log_level)
    event_loop.run(work)
