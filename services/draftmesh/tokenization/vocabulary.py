"""A vocabulary as bytes: the one view in which vocabularies of different tokenizer families can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence

from draftmesh.core.errors import InvalidTokenError
from draftmesh.core.text import TERMINAL_ROLES, Item, Role


class Vocabulary:
    """Every token id's bytes or role; immutable. Satisfies ``core.protocols.TokenTable``.

    Args:
        tokens: the bytes of each id, from 0; empty for holes.
        roles: what special tokens mean; where several share a role, the one that is to be written comes first.
        special: ids of special tokens that have no role. Special tokens have no bytes, whatever ``tokens`` says.
        fallback: ids of byte pieces, which are said only where no other token has the text.
    """

    __slots__ = ("_bytes", "_fallback", "_ids_of_role", "_roles", "_special", "digest", "terminal_ids")

    def __init__(
        self,
        tokens: Sequence[bytes],
        roles: Mapping[int, Role],
        special: Collection[int] = (),
        fallback: Collection[int] = (),
    ) -> None:
        self._roles = dict(roles)
        self._special = frozenset(special) | frozenset(roles)
        self._fallback = frozenset(fallback)
        if any(not 0 <= token < len(tokens) for token in self._special | self._fallback):
            raise InvalidTokenError(
                f"a special token or byte piece lies outside the vocabulary of {len(tokens)} tokens"
            )
        self._bytes = tuple(b"" if token in self._special else data for token, data in enumerate(tokens))
        self._ids_of_role = {role: tuple(token for token, r in roles.items() if r is role) for role in Role}
        self.terminal_ids = frozenset(token for token, role in roles.items() if role in TERMINAL_ROLES)
        """Ids that end a generation unless the caller ignores them."""
        self.digest = self._compute_digest()
        """SHA-256 of bytes, roles, specials and byte pieces: equal digests are the same vocabulary, id by id."""

    def __len__(self) -> int:
        """Number of token ids, holes included; rows of a model's head beyond it are padding."""
        return len(self._bytes)

    def token_bytes(self, token: int) -> bytes:
        """The bytes of a token; empty for special tokens and holes.

        Raises:
            InvalidTokenError: the id lies outside the vocabulary.
        """
        if not 0 <= token < len(self._bytes):
            raise InvalidTokenError(f"token id {token} lies outside the vocabulary of {len(self._bytes)} tokens")
        return self._bytes[token]

    def role(self, token: int) -> Role | None:
        """The role of a special token, if it has one."""
        return self._roles.get(token)

    def is_special(self, token: int) -> bool:
        """Whether the token is special: it stands for no text."""
        return token in self._special

    def is_fallback(self, token: int) -> bool:
        """Whether the token is a byte piece, said only where no other token has the text."""
        return token in self._fallback

    def ids_of_role(self, role: Role) -> tuple[int, ...]:
        """All ids of a role; the first is the one to write."""
        return self._ids_of_role[role]

    def items(self, ids: Iterable[int]) -> tuple[Item, ...]:
        """One wire item a token: its role or its bytes (``b""`` for a special token without a role)."""
        return tuple(self._roles.get(token) or self.token_bytes(token) for token in ids)

    def join(self, ids: Iterable[int]) -> bytes:
        """The bytes of the tokens, one after the other."""
        return b"".join([self.token_bytes(token) for token in ids])

    def _compute_digest(self) -> bytes:
        digest = hashlib.sha256(b"draftmesh vocabulary 2")
        for token, data in enumerate(self._bytes):
            role = self._roles.get(token)
            kind = bytes((token in self._special, role or 0, token in self._fallback))
            digest.update(kind + len(data).to_bytes(4, "little") + data)
        return digest.digest()
