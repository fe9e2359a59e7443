"""``slrs``: the verifier's questions for ψ, on their way to the drafter whose block is being judged."""

from __future__ import annotations

from draftmesh.coordinator.drafting.feed import DraftFeed
from draftmesh.coordinator.loop.transcript import Transcript
from draftmesh.core.errors import UnavailableError
from draftmesh.core.verify import PsiQuery, VerifyRound


def pass_on(query: PsiQuery, judged: VerifyRound | None, transcript: Transcript, feed: DraftFeed | None) -> None:
    """Have the drafter answer a question about the block that is being judged; None: there is no such block.

    Raises:
        UnavailableError: the verifier asks about tokens that it was not sent.
    """
    prefix = transcript.prefix
    draft_ids = judged.draft_ids if judged is not None else ()
    accepted = query.prefix.length - prefix.length
    is_known = 0 <= accepted <= len(draft_ids) and prefix.extend(draft_ids[:accepted]) == query.prefix
    if feed is None or judged is None or not is_known:
        raise UnavailableError("the verifier asks for ψ after tokens that it was not sent")
    feed.ask(query, transcript.text_prefix, draft_ids[:accepted])
