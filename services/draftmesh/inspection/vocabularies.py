"""What two tokenizers share, told from their files alone: no model is needed for it.

Tokens are compared by their bytes and roles (``tokenization.intersection``), never by their spelling: a newline is
``Ċ`` in one vocabulary and ``<0x0A>`` in another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from draftmesh.core.text import Role
from draftmesh.inspection.sources import PairSide
from draftmesh.tokenization import Tokenizer
from draftmesh.tokenization.intersection import Intersection, intersect

_EXCERPT_CHARACTERS = 60
_NON_ASCII_BYTES = (*range(0x80, 0xC0), *range(0xC2, 0xF5))
"""Those that occur in UTF-8."""


@dataclass(frozen=True, slots=True)
class TokenizerReport:
    """One side's tokenizer."""

    model: str
    family: str = ""
    """Empty where there is no usable tokenizer."""

    ids: int = 0
    refusal: str = ""
    """Why the tokenizer cannot be used."""

    round_trip_failures: tuple[str, ...] = ()
    """Beginnings of the texts that do not come back byte for byte."""


@dataclass(frozen=True, slots=True)
class SharedTokens:
    """How much of one side's vocabulary the other side has too."""

    ids: int
    share: float
    """Of the side's ids, special ones included."""

    mass: float
    """Of the tokens that the side writes the corpus with."""


@dataclass(frozen=True, slots=True)
class RoleReport:
    """The ids of one role on both sides, the one to write first."""

    role: str
    target_ids: tuple[int, ...]
    drafter_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SharedReport:
    """What two vocabularies have in common."""

    target: SharedTokens
    drafter: SharedTokens
    same_vocabulary: bool
    """Id by id the same: method ``rejection`` is possible."""

    newline: bool
    tab: bool
    eos: bool
    """Both can end a text in the role EOS."""

    non_ascii: bool
    """Every byte of characters beyond ASCII is shared."""

    non_ascii_tokens: int
    """Shared tokens of the target whose text is whole characters, some of them beyond ASCII."""


@dataclass(frozen=True, slots=True)
class VocabularyReport:
    """Both tokenizers of a pair, and what they share."""

    target: TokenizerReport
    drafter: TokenizerReport
    shared: SharedReport | None
    """None where one side has no usable tokenizer."""

    roles: tuple[RoleReport, ...]


class ByteCodec(Protocol):
    """Text to ids and back; ``tokenization.Tokenizer`` is one."""

    def encode_bytes(self, text: bytes) -> list[int]:
        """Ids of a text."""

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes of ids."""


def inspect_vocabularies(target: PairSide, drafter: PairSide, texts: Sequence[str]) -> VocabularyReport:
    """Compare two tokenizers on a corpus."""
    shared: SharedReport | None = None
    roles: tuple[RoleReport, ...] = ()
    if target.tokenizer is not None and drafter.tokenizer is not None:
        shared = _shared(target.tokenizer, drafter.tokenizer, texts)
        roles = _roles(target.tokenizer, drafter.tokenizer)
    return VocabularyReport(_tokenizer(target, texts), _tokenizer(drafter, texts), shared, roles)


def round_trip_failures(codec: ByteCodec, texts: Sequence[str]) -> tuple[str, ...]:
    """Beginnings of the texts that do not come back byte for byte."""
    failed = (text for text in texts if codec.decode_bytes(codec.encode_bytes(text.encode())) != text.encode())
    return tuple(text[:_EXCERPT_CHARACTERS] for text in failed)


def _tokenizer(side: PairSide, texts: Sequence[str]) -> TokenizerReport:
    if side.tokenizer is None:
        return TokenizerReport(side.name, refusal=side.refusal)
    return TokenizerReport(
        side.name,
        family=side.tokenizer.family.value,
        ids=len(side.tokenizer.vocabulary),
        round_trip_failures=round_trip_failures(side.tokenizer, texts),
    )


def _shared(target: Tokenizer, drafter: Tokenizer, texts: Sequence[str]) -> SharedReport:
    both = intersect(target.vocabulary, drafter.vocabulary)
    spelled = {target.vocabulary.token_bytes(token) for token in both.target_ids}
    roles = {target.vocabulary.role(token) for token in both.target_ids}
    return SharedReport(
        target=_part(target, both.target_ids, texts),
        drafter=_part(drafter, _drafter_ids(both), texts),
        same_vocabulary=target.vocabulary.digest == drafter.vocabulary.digest,
        newline=b"\n" in spelled,
        tab=b"\t" in spelled,
        eos=Role.EOS in roles,
        non_ascii=all(bytes([byte]) in spelled for byte in _NON_ASCII_BYTES),
        non_ascii_tokens=sum(map(_is_whole_non_ascii, spelled)),
    )


def _drafter_ids(both: Intersection) -> frozenset[int]:
    return frozenset(chain.from_iterable(both.drafter_ids))


def _part(tokenizer: Tokenizer, shared: Collection[int], texts: Sequence[str]) -> SharedTokens:
    shared = frozenset(shared)
    written = Counter(chain.from_iterable(tokenizer.encode_bytes(text.encode()) for text in texts))
    common = sum(count for token, count in written.items() if token in shared)
    return SharedTokens(len(shared), len(shared) / len(tokenizer.vocabulary), common / max(1, written.total()))


def _is_whole_non_ascii(data: bytes) -> bool:
    try:
        return not data.decode().isascii()
    except UnicodeDecodeError:
        return False


def _roles(target: Tokenizer, drafter: Tokenizer) -> tuple[RoleReport, ...]:
    found = (
        RoleReport(role.name.lower(), target.vocabulary.ids_of_role(role), drafter.vocabulary.ids_of_role(role))
        for role in Role
    )
    return tuple(report for report in found if report.target_ids or report.drafter_ids)
