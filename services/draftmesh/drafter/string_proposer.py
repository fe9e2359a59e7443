"""A drafter with a model that proposes strings (``slrs``): whole blocks of target tokens, each with its ψ.

A block begins at the committed text with a key of its own. Tokens are drawn until the translation rule has settled as
many target tokens as a block has, or the text ends, or it begins with no token, or it is as long as drafts get. Then
the draft tree is computed as far as ψ of these tokens needs it, level by level; the rows that drew the draft are part
of it. Only then the block goes out: a drafter that is lost before has said nothing, and another one of the same digest
draws the very same block again.

For that, all that the law depends on is a function of the text before the block: its segmentation (committed text is
encoded anew, from its start), the window of the context, the key, and the proposal's own rules and bounds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from draftmesh.core.draft import DraftExtent, Evaluate, Evaluated
from draftmesh.core.sampling import NoiseKey
from draftmesh.core.text import TERMINAL_ROLES, Item, join_items
from draftmesh.decoding.longest_match import LongestMatch, Reading
from draftmesh.decoding.noise_key import NoisePosition
from draftmesh.decoding.proposal import Choices, ProposalShape
from draftmesh.decoding.psi import TreeBounds
from draftmesh.decoding.streams import block_key
from draftmesh.drafter.branching import BranchTree
from draftmesh.drafter.canonical import CanonicalPairs
from draftmesh.drafter.context import fit_steadily
from draftmesh.drafter.draft_token import Divergence, DraftToken
from draftmesh.drafter.judge import Propose
from draftmesh.drafter.noise_positions import string_position
from draftmesh.drafter.opening import Opening
from draftmesh.drafter.path_runner import PathRunner
from draftmesh.drafter.path_sequence import Path
from draftmesh.drafter.proposer import Sink
from draftmesh.drafter.psi_book import PsiBook
from draftmesh.drafter.sequence_budget import SequenceBudget
from draftmesh.drafter.window import BlockBase
from draftmesh.tokenization.vocabulary import Vocabulary

_ROOM_SHARE = 4
"""A block has this part of the context for itself; a part of nothing else, as the window decides about the law."""

_KEPT_SEARCHES = 8
"""A block's tree is kept while it is no larger than so many sequences may need."""


@dataclass(frozen=True, slots=True)
class StringLaw:
    """What all ``slrs`` sessions of a drafter with one target and one cap share."""

    target: Vocabulary
    rule: LongestMatch
    own: Choices
    """The drafter's tokens that stand for text or its end."""

    pairs: CanonicalPairs


@dataclass(frozen=True, slots=True)
class PsiLimits:
    """What ψ may cost."""

    max_paths: int
    """Paths that ψ of one sequence may need; part of the law."""

    budget: SequenceBudget


class StringProposer:
    """One session's blocks. Lives on the engine's thread."""

    def __init__(self, opening: Opening, sink: Sink, law: StringLaw, limits: PsiLimits) -> None:
        """Open a sequence for the context and what is committed.

        Raises:
            ExhaustedError: the engine takes no more sequences.
        """
        self._opening = opening
        self._request = opening.request
        self._vocabulary = opening.tokenizer.vocabulary
        self._sink = sink
        self._law = law
        self._limits = limits
        self._room_tokens = opening.limit_tokens // _ROOM_SHARE
        self._shape = ProposalShape(law.own, opening.request.proposal_support)
        self._questions: deque[Evaluate] = deque()
        self._committed = join_items(opening.request.committed)
        self._key: NoiseKey | None = None
        self._begin_block()
        self._runner = PathRunner(opening, self._base(), limits.budget, self._take_rows, sink.failed)

    def draw(self, count: int) -> None:
        """Draw the block that follows the committed text, unless that is under way or out."""
        if count and self._key is None:
            position = self._sink.position
            self._key = block_key(self._request.noise_key, position.offset, position.tokens)
            self._go_on()

    def branch(self, tree: BranchTree, extent: DraftExtent) -> None:
        """Draw none: blocks are never continued."""

    def rebase(self, divergence: Divergence) -> bytes:
        """Forget the block, and stand at the end of the committed text."""
        self._committed = join_items((*self._committed, *divergence.items))
        while self._questions:
            self._sink.evaluated(Evaluated(self._questions.popleft().evaluation_id, ()))
        self._begin_block()
        self._runner.move(self._base())
        return b""

    def evaluate(self, question: Evaluate) -> None:
        """Answer as soon as the block is out."""
        self._book.check(question.sequences)
        self._questions.append(question)
        if self._is_out and not self._runner.busy:
            self._go_on()

    def close(self) -> None:
        """Free everything that the engine holds."""
        self._questions.clear()
        self._runner.close()

    def _begin_block(self) -> None:
        bounds = TreeBounds(self._room_tokens, self._limits.max_paths)
        self._book = PsiBook(self._law.rule, self._law.target, self._vocabulary, bounds)
        self._key = None
        self._drawn: Path = ()
        self._items: tuple[Item, ...] = ()
        self._is_drawing = False
        self._is_out = False

    def _base(self) -> BlockBase:
        """Of the committed text alone, however it came to be committed."""
        ids = tuple(token for item in self._committed for token in self._encode(item))
        window = fit_steadily(self._opening.prompt_ids, ids, self._opening.limit_tokens, self._room_tokens)
        return BlockBase(window, ids)

    def _encode(self, item: Item) -> Sequence[int]:
        """An item in own tokens; what the vocabulary does not have is left out, as it only helps to guess."""
        if isinstance(item, bytes):
            return self._opening.tokenizer.encode_known(item)
        return self._vocabulary.ids_of_role(item)[:1]

    def _go_on(self) -> None:
        """Compute what is missing for what is to be said next, or say it."""
        reading = self._law.rule.read(self._items, limit=self._request.max_ahead_tokens)
        self._is_drawing = not self._is_whole(reading)
        if self._is_drawing:
            self._compute((self._drawn,))
            return
        if not self._is_out and not self._lacks([reading.ids[:end] for end in range(1, len(reading.ids) + 1)]):
            self._put_out(reading)
        while self._is_out and self._questions and not self._lacks(self._questions[0].sequences):
            self._answer(self._questions.popleft())

    def _is_whole(self, reading: Reading) -> bool:
        return self._has_ended(reading) or reading.missing or len(self._drawn) == self._room_tokens

    def _has_ended(self, reading: Reading) -> bool:
        """Whether the block has all its tokens, or the text none that could follow."""
        ends = bool(self._items) and self._items[-1] in TERMINAL_ROLES
        return ends or len(reading.ids) == self._request.max_ahead_tokens

    def _lacks(self, sequences: Sequence[tuple[int, ...]]) -> bool:
        """Start to compute what ψ of ``sequences`` lacks, if anything."""
        missing = self._book.missing(sequences)
        self._compute(missing)
        return bool(missing)

    def _compute(self, paths: Sequence[Path]) -> None:
        if paths:
            self._runner.run([(path, Propose(self._shape_after(path), self._position(path))) for path in paths])

    def _shape_after(self, path: Path) -> ProposalShape:
        return replace(self._shape, follows=self._law.pairs.after(path[-1])) if path else self._shape

    def _position(self, path: Path) -> NoisePosition:
        """Where the block's own draw after ``path`` reads its noise; of other paths nothing is drawn that counts."""
        assert self._key is not None, "a block is under way"
        return string_position(self._key, self._vocabulary, path)

    def _take_rows(self) -> None:
        """Learn from the rows that were computed, the draft's next token among them, and go on."""
        rows, computed = self._runner.take_rows()
        for row in rows:
            assert row.proposal.distribution is not None, "the shape asks for it"
            self._book.add(row.path, row.proposal.distribution)
        if self._is_drawing:
            token = rows[0].proposal.token
            self._drawn += (token,)
            self._items += self._vocabulary.items((token,))
        (self._opening.meters.draft_rows if self._is_drawing else self._opening.meters.psi_rows)(computed)
        self._go_on()

    def _put_out(self, reading: Reading) -> None:
        self._is_out = True
        known = self._book.conditionals(reading.ids)
        tokens = [DraftToken(self._item(token), token, psi=psi) for token, psi in zip(reading.ids, known, strict=False)]
        missing = reading.missing or len(known) < len(reading.ids) or not self._has_ended(reading)
        self._opening.meters.psi(self._book.take_told())
        self._sink.drawn(tokens, exhausted=True, missing_next=missing)

    def _answer(self, question: Evaluate) -> None:
        psi = tuple(map(self._book.psi, question.sequences))
        self._opening.meters.psi(self._book.take_told())
        if len(self._book) > _KEPT_SEARCHES * self._limits.max_paths:
            self._book.forget()
        self._sink.evaluated(Evaluated(question.evaluation_id, psi))

    def _item(self, token: int) -> Item:
        return self._law.target.role(token) or self._law.target.token_bytes(token)
