"""A target's vocabulary on the wire, for methods whose proposals are target ids."""

from __future__ import annotations

from dataclasses import dataclass

from draftmesh.core.errors import InvalidRequestError
from draftmesh.core.protocols import WholeVocabulary
from draftmesh.core.text import Role
from draftmesh.transport.codec_common import role_from_proto, role_to_proto
from draftmesh.v1 import common_pb2, drafter_pb2


@dataclass(frozen=True, slots=True)
class RegisteredVocabulary:
    """A vocabulary as it came over the wire; satisfies :class:`WholeVocabulary`."""

    digest: bytes
    """What sessions name it by; whoever has the digest's definition checks it against the content."""

    texts: tuple[bytes, ...]
    roles: tuple[Role | None, ...]
    special: frozenset[int]
    """Ids of special tokens, with a role or without."""

    fallback: frozenset[int] = frozenset()
    """Ids of byte pieces."""

    def __len__(self) -> int:
        """Number of token ids."""
        return len(self.texts)

    def token_bytes(self, token: int) -> bytes:
        """The bytes of a token; empty for special tokens and holes."""
        return self.texts[token]

    def role(self, token: int) -> Role | None:
        """The role of a special token, if it has one."""
        return self.roles[token]

    def is_special(self, token: int) -> bool:
        """Whether the token is special: it stands for no text."""
        return token in self.special

    def is_fallback(self, token: int) -> bool:
        """Whether the token is a byte piece, said only where no other token has the text."""
        return token in self.fallback


def vocabulary_to_proto(digest: bytes, vocabulary: WholeVocabulary) -> drafter_pb2.RegisterVocabularyRequest:
    """A whole vocabulary in one message."""
    tokens = [_token_to_proto(vocabulary, token) for token in range(len(vocabulary))]
    return drafter_pb2.RegisterVocabularyRequest(digest=digest, tokens=tokens)


def vocabulary_from_proto(message: drafter_pb2.RegisterVocabularyRequest) -> RegisteredVocabulary:
    """A whole vocabulary, checked: it has a digest and tokens, and only special tokens have roles, and no bytes."""
    if not message.digest:
        raise InvalidRequestError("digest is required")
    if not message.tokens:
        raise InvalidRequestError("tokens: the vocabulary is empty")
    pairs = [_token_from_proto(token, f"tokens[{index}]") for index, token in enumerate(message.tokens)]
    return RegisteredVocabulary(
        message.digest,
        tuple(text for text, _ in pairs),
        tuple(role for _, role in pairs),
        frozenset(index for index, token in enumerate(message.tokens) if token.special),
        frozenset(index for index, token in enumerate(message.tokens) if token.fallback),
    )


def _token_to_proto(vocabulary: WholeVocabulary, token: int) -> drafter_pb2.VocabularyToken:
    role = vocabulary.role(token)
    return drafter_pb2.VocabularyToken(
        text=vocabulary.token_bytes(token),
        role=common_pb2.ROLE_UNSPECIFIED if role is None else role_to_proto(role),
        special=vocabulary.is_special(token),
        fallback=vocabulary.is_fallback(token),
    )


def _token_from_proto(message: drafter_pb2.VocabularyToken, field: str) -> tuple[bytes, Role | None]:
    if message.special and message.text:
        raise InvalidRequestError(f"{field} is special, so it must have no text")
    role = role_from_proto(message.role, f"{field}.role") if message.role else None
    if role is not None and not message.special:
        raise InvalidRequestError(f"{field} has a role, so it must be special")
    return message.text, role
