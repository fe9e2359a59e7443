"""ψ against the enumeration of every text that a small drafter can say."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from draftmesh.core.evidence import SparseDistribution
from draftmesh.core.text import TERMINAL_ROLES, Role
from draftmesh.decoding.longest_match import LongestMatch
from draftmesh.decoding.psi import PsiTree, TreeBounds
from tests.helpers.fakes_token_table import FakeTokenTable, text_of
from tests.helpers.toy_blocks import AMPLE

DEPTH = 4  # drafter tokens of a text at most, the end token included
MISSING = -1  # in a reading: the text begins with no token

PIECES = st.lists(st.sampled_from([b"a", b"b", b"c", b"ab", b"ba", b"aab", b"abc", b"ca"]), min_size=1, max_size=6)
ENDS = st.lists(st.sampled_from([Role.EOS, Role.END_OF_TURN]), max_size=2, unique=True)


@dataclass(frozen=True)
class Toy:
    """A target, its rule, and a drafter whose law is a function of the path."""

    target: FakeTokenTable
    cap_bytes: int
    drafter: FakeTokenTable
    seed: int

    def distribution(self, path: tuple[int, ...]) -> SparseDistribution:
        """Some tokens at random; the end token alone at the full depth."""
        end = len(self.drafter) - 1
        if len(path) == DEPTH - 1:
            return SparseDistribution((end,), (1.0,))
        source = random.Random(f"{self.seed} {path}")
        weights = [source.choice([0.0, 0.1, 0.5, 1.0]) for _ in range(end)] + [source.choice([0.0, 0.2])]
        if not any(weights):
            weights[end] = 1.0
        total = math.fsum(weights)
        return SparseDistribution(tuple(range(end + 1)), tuple(weight / total for weight in weights))

    def texts(self, path: tuple[int, ...] = (), chance: float = 1.0) -> Iterator[tuple[tuple[int, ...], float]]:
        """Every whole text, as the drafter's path, and its probability."""
        if path and self.drafter.role(path[-1]) is not None:
            yield path, chance
            return
        law = self.distribution(path)
        for token, weight in zip(law.ids, law.weights, strict=True):
            if weight > 0.0:
                yield from self.texts((*path, token), chance * weight / math.fsum(law.weights))

    def read(self, path: Sequence[int]) -> tuple[int, ...]:
        """The whole text's reading, from the definition."""
        text, role = text_of(self.drafter, path), self.drafter.role(path[-1])
        ids: list[int] = []
        while text:
            fits = [t for t in range(len(self.target)) if (data := self.data(t)) and text.startswith(data)]
            if not fits:
                return (*ids, MISSING)
            ids.append(min(fits, key=lambda t: (-len(self.data(t)), self.target.is_fallback(t), t)))
            text = text[len(self.data(ids[-1])) :]
        assert role is not None
        ends = [t for t in range(len(self.target)) if self.target.role(t) is role]
        return (*ids, ends[0] if ends else MISSING)

    def data(self, token: int) -> bytes:
        """The bytes of a target token that the rule reads."""
        data = self.target.token_bytes(token)
        return data if len(data) <= self.cap_bytes else b""

    def tree(self, bounds: TreeBounds = AMPLE) -> PsiTree:
        """A tree that knows nothing."""
        return PsiTree(LongestMatch(self.target, self.cap_bytes), self.drafter, bounds)

    def psi(self, tree: PsiTree, sequence: tuple[int, ...]) -> float:
        """ψ by the tree, which learns what it asks for."""
        while paths := tree.missing([sequence]):
            for path in paths:
                assert path not in tree
                assert self.chance(path) > 0.0
                tree.add(path, self.distribution(path))
        return tree.psi(sequence)

    def sequences(self) -> list[tuple[int, ...]]:
        """Every target token, and every pair after the tokens that are read first."""
        seen = {self.read(path)[:1] for path, _ in self.texts()}
        tokens = range(len(self.target))
        return [(t,) for t in tokens] + [(*s, t) for s in sorted(seen - {(MISSING,)}) for t in tokens]

    def chance(self, path: Sequence[int]) -> float:
        """The probability that a draft begins with ``path``."""
        laws = [self.distribution(tuple(path[:length])) for length in range(len(path))]
        return math.prod(law.probability(token) for law, token in zip(laws, path, strict=True))


@st.composite
def toys(draw: st.DrawFn) -> Toy:
    """Targets with duplicates, byte pieces, specials and lacking bytes; drafters of two to five tokens and an end."""
    entries: list[bytes | Role | None] = [*draw(PIECES), *draw(PIECES), *draw(ENDS), None, Role.BOS]
    fallback = draw(st.sets(st.integers(0, len(entries) - 1), max_size=3))
    target = FakeTokenTable(draw(st.permutations(entries)), fallback)
    own: list[bytes | Role | None] = [*draw(PIECES)[:4], draw(st.sampled_from([Role.EOS, Role.END_OF_TURN]))]
    return Toy(target, draw(st.sampled_from([1, 4, 16])), FakeTokenTable(own), draw(st.integers(0, 1 << 32)))


@given(toys())
@settings(max_examples=60, deadline=None)
def test_psi_is_the_probability_that_the_rule_reads_the_tokens_first(toy: Toy) -> None:
    """For every target token, and every pair after the tokens that can be read."""
    tree = toy.tree()
    readings = [(toy.read(path), chance) for path, chance in toy.texts()]
    for sequence in toy.sequences():
        wanted = math.fsum(chance for reading, chance in readings if reading[: len(sequence)] == sequence)
        assert math.isclose(toy.psi(tree, sequence), wanted, rel_tol=1e-12, abs_tol=1e-15), sequence


@given(toys())
@settings(max_examples=40, deadline=None)
def test_psi_of_all_tokens_and_of_nothing_add_up_to_one(toy: Toy) -> None:
    """At the first position, and at the second in proportion to ψ of the first token."""
    tree = toy.tree()
    readings = [(toy.read(path), chance) for path, chance in toy.texts()]
    for first in [(), *((t,) for t in range(len(toy.target)))]:
        if first and toy.target.role(first[0]) in TERMINAL_ROLES:
            continue
        mass = math.fsum(toy.psi(tree, (*first, token)) for token in range(len(toy.target)))
        nothing = math.fsum(chance for reading, chance in readings if reading == (*first, MISSING))
        assert math.isclose(mass + nothing, toy.psi(tree, first) if first else 1.0, rel_tol=1e-12, abs_tol=1e-15)


@given(toys())
@settings(max_examples=40, deadline=None)
def test_a_settled_token_stays_whatever_follows(toy: Toy) -> None:
    """Each beginning of a text settles to a beginning of the whole text's reading, and the whole text to all of it."""
    rule = LongestMatch(toy.target, toy.cap_bytes)
    for path, _ in toy.texts():
        items = [toy.drafter.role(token) or toy.drafter.token_bytes(token) for token in path]
        whole = toy.read(path)
        for length in range(len(items) + 1):
            reading = rule.read(items[:length], limit=99)
            said = (*reading.ids, MISSING) if reading.missing else reading.ids
            assert said == whole[: len(said)]
        assert said == whole


@given(toys())
@settings(max_examples=30, deadline=None)
def test_what_the_tree_learns_elsewhere_does_not_change_psi(toy: Toy) -> None:
    """A tree that knows everything says the same as one that knows what it asked for."""
    asked, knowing = toy.tree(), toy.tree()
    for path in {text[:length] for text, _ in toy.texts() for length in range(len(text))}:
        knowing.add(path, toy.distribution(path))
    for token in range(len(toy.target)):
        assert math.isclose(toy.psi(asked, (token,)), knowing.psi((token,)), rel_tol=1e-12, abs_tol=1e-15)
    assert len(asked) <= len(knowing)


@given(toys(), st.integers(1, DEPTH))
@settings(max_examples=40, deadline=None)
def test_drafts_may_be_bounded_in_length(toy: Toy, depth: int) -> None:
    """ψ is the probability that the first ``depth`` drafter tokens settle to the sequence."""
    tree, rule = toy.tree(replace(AMPLE, max_depth=depth)), LongestMatch(toy.target, toy.cap_bytes)
    for sequence in toy.sequences():
        wanted = 0.0
        for path, chance in toy.texts():
            items = [toy.drafter.role(token) or toy.drafter.token_bytes(token) for token in path[:depth]]
            wanted += chance * (rule.read(items, limit=len(sequence)).ids == sequence)
        assert math.isclose(toy.psi(tree, sequence), wanted, rel_tol=1e-12, abs_tol=1e-15), sequence


@given(toys(), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_what_needs_too_many_paths_goes_by_the_tree_alone(toy: Toy, max_paths: int) -> None:
    """A bounded tree says what an ample one says, or 0: whatever it knew, and 0 for all that needs so many paths."""
    bounds = replace(AMPLE, max_paths=max_paths)
    asked, knowing, ample = toy.tree(bounds), toy.tree(bounds), toy.tree()
    for path in {text[:length] for text, _ in toy.texts() for length in range(len(text))}:
        knowing.add(path, toy.distribution(path))
    for sequence in toy.sequences():
        alone = toy.tree()
        whole = toy.psi(alone, sequence)
        wanted = whole if len(alone) <= max_paths else 0.0
        assert toy.psi(ample, sequence) == whole
        assert toy.psi(asked, sequence) == wanted
        assert knowing.psi(sequence) == wanted
