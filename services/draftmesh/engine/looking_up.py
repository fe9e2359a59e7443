"""Gives drafts to sequences that nobody has sent one for, right before a step, where rows and blocks are to spare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Sequence as Seq

from draftmesh.core.errors import DraftmeshError
from draftmesh.engine.batch_judging import as_draftmesh_error
from draftmesh.engine.paging import Paging
from draftmesh.engine.sequence import Sequence
from draftmesh.engine.stats import Sharing


def look_up(
    lookers: Seq[Sequence], room: Callable[[Sequence], int], sharing: Sharing, paging: Paging
) -> Iterator[tuple[Sequence, DraftmeshError]]:
    """Have the run drafters of ``lookers``, which may look up, make drafts; yields those whose run drafter fails.

    Nobody else is to lose blocks to what is but a guess.

    Args:
        lookers: At least one.
        room: Draft tokens that one may have.
        sharing: The step.
        paging: Whose blocks they have.
    """
    for seq in lookers:
        limit = min(room(seq), sharing.spare_rows // len(lookers))
        if limit <= 0 or seq.run_drafter is None:
            continue
        try:
            draft = seq.run_drafter.draft(seq.tokens, limit, sharing)[:limit]
        except Exception as error:
            yield seq, as_draftmesh_error(error)
            continue
        if paging.missing_blocks(seq, len(seq.tokens) + len(draft)) <= paging.free_blocks:
            seq.look_up(draft)
