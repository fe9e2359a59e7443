"""The tokens that two vocabularies share."""

from __future__ import annotations

from draftmesh.core.text import Role
from draftmesh.tokenization.intersection import Intersection, intersect
from tests.helpers.fakes_token_table import FakeTokenTable
from tests.helpers.tokenizers import small_tokenizer


def test_tokens_are_shared_by_their_bytes() -> None:
    """Whatever their ids; the target's are ascending."""
    target = FakeTokenTable([b"a", b"\n", b" the", b"\xc3"])
    drafter = FakeTokenTable([b" the", b"\xc3", b"x", b"\n"])
    assert intersect(target, drafter) == Intersection((1, 2, 3), ((3,), (0,), (1,)))


def test_all_of_a_drafters_tokens_with_the_same_bytes_are_named() -> None:
    """The one that is no byte piece comes first, then the lowest id."""
    drafter = FakeTokenTable([b"a", b"a", b"b", b"a"], fallback={0})
    assert intersect(FakeTokenTable([b"a"]), drafter) == Intersection((0,), ((1, 3, 0),))


def test_of_a_targets_tokens_with_the_same_bytes_one_is_shared() -> None:
    """The one that is no byte piece, then the lowest: what its own tokenizer says."""
    target = FakeTokenTable([b"a", b"a", b"a", b"b", b"b"], fallback={0, 3, 4})
    assert intersect(target, FakeTokenTable([b"b", b"a"])) == Intersection((1, 3), ((1,), (0,)))


def test_end_tokens_are_shared_by_role() -> None:
    """The end of a turn is not the end of a text."""
    target = FakeTokenTable([Role.EOS, Role.END_OF_TURN, b"a"])
    drafter = FakeTokenTable([b"a", Role.EOS, Role.EOS])
    assert intersect(target, drafter) == Intersection((0, 2), ((1, 2), (0,)))


def test_other_special_tokens_and_holes_are_not_shared() -> None:
    """They stand for no text and end none."""
    table = FakeTokenTable([Role.BOS, Role.PAD, Role.UNK, None, b"", b"a"])
    assert intersect(table, table) == Intersection((5,), ((5,),))


def test_the_same_vocabulary_shares_each_id_with_itself() -> None:
    """``rejection`` is this case."""
    table = FakeTokenTable([b"a", b"b", Role.EOS])
    assert intersect(table, table) == Intersection((0, 1, 2), ((0,), (1,), (2,)))


def test_ids_without_a_row_are_not_shared() -> None:
    """On either side a table may be longer than the model's head."""
    table = FakeTokenTable([b"a", b"b", b"c"])
    assert intersect(table, table, target_rows=2).target_ids == (0, 1)
    assert intersect(table, table, drafter_rows=1).target_ids == (0,)
    assert intersect(table, table, target_rows=9, drafter_rows=9).target_ids == (0, 1, 2)


def test_nothing_in_common_is_an_empty_intersection() -> None:
    """Callers refuse such a pair."""
    assert len(intersect(FakeTokenTable([b"a"]), FakeTokenTable([b"b"]))) == 0


def test_families_share_what_their_spellings_hide() -> None:
    """Newline, tab, bytes beyond ASCII and the end of text, between GPT-2's alphabet and Llama 2's byte pieces."""
    target, drafter = small_tokenizer("gpt2").vocabulary, small_tokenizer("llama2").vocabulary
    shared = intersect(target, drafter)
    texts = {target.token_bytes(token) for token in shared.target_ids}
    assert {b"\n", b"\t", b"\xc3", b" ", b"a"} <= texts
    assert set(target.ids_of_role(Role.EOS)) & set(shared.target_ids)
    for token, own in zip(shared.target_ids, shared.drafter_ids, strict=True):
        assert {drafter.items([other]) for other in own} == {target.items([token])}
