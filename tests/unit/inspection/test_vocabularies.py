"""What two tokenizers share is told by bytes and roles, from their files alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

from draftmesh.inspection.sources import PairSide, pair_side
from draftmesh.inspection.vocabularies import (
    SharedReport,
    VocabularyReport,
    inspect_vocabularies,
    round_trip_failures,
)
from tests.helpers.tokenizers import CORPUS, small_tokenizer, tokenizer_document, tokenizer_files


def side(name: str) -> PairSide:
    """One of the small tokenizers."""
    return PairSide(name, small_tokenizer(name))


def report(target: str, drafter: str, texts: Sequence[str] = CORPUS) -> VocabularyReport:
    """The report of a pair of small tokenizers."""
    return inspect_vocabularies(side(target), side(drafter), texts)


def shared(target: str, drafter: str, texts: Sequence[str] = CORPUS) -> SharedReport:
    """What the pair has in common."""
    found = report(target, drafter, texts).shared
    assert found is not None
    return found


GPT2_LLAMA2 = shared("gpt2", "llama2")


def spelled(name: str) -> set[str]:
    """The spelling of every token."""
    document = tokenizer_document(name)
    return {*document["model"]["vocab"], *(token["content"] for token in document["added_tokens"])}


@pytest.mark.parametrize("spellings", [("Ċ", "<0x0A>"), ("ĉ", "<0x09>"), ("Ð¾", "о"), ("<|endoftext|>", "</s>")])
def test_a_comparison_of_spellings_would_lose_them(spellings: tuple[str, str]) -> None:
    """Newline, tab, a Cyrillic letter and the end of text are in both, each spelled as the other spells nothing."""
    gpt2, llama2 = spelled("gpt2"), spelled("llama2")
    assert [spelling in vocabulary for spelling in spellings for vocabulary in (gpt2, llama2)] == [
        *(True, False),
        *(False, True),
    ]


def test_newline_tab_other_scripts_and_end_of_text_are_shared() -> None:
    """GPT-2's way of writing bytes and Llama 2's are the same bytes."""
    assert (GPT2_LLAMA2.newline, GPT2_LLAMA2.tab, GPT2_LLAMA2.non_ascii, GPT2_LLAMA2.eos) == (True,) * 4
    assert GPT2_LLAMA2.non_ascii_tokens > 10


def test_more_is_shared_by_bytes_than_by_spelling() -> None:
    """Every token with a space, a control or a character beyond ASCII is spelled apart."""
    assert GPT2_LLAMA2.target.ids > 1.5 * len(spelled("gpt2") & spelled("llama2"))


def test_a_tokenizer_shares_everything_with_itself() -> None:
    """One vocabulary: all that is text or ends it is shared, and so is every token of the corpus."""
    found = shared("llama3", "llama3")
    vocabulary = small_tokenizer("llama3").vocabulary
    unspoken = sum(not vocabulary.token_bytes(token) for token in range(len(vocabulary)))
    ends = len(vocabulary.terminal_ids)
    assert (found.same_vocabulary, found.target.mass, found.drafter.mass) == (True, 1.0, 1.0)
    assert found.target.ids >= len(vocabulary) - unspoken
    assert found.drafter.ids <= len(vocabulary) - unspoken + ends


def test_mass_is_weighted_by_the_corpus() -> None:
    """On a text of shared tokens alone everything is shared, though the vocabularies are not the same."""
    letters = shared("gpt2", "llama2", ["a\n", "b\n"])
    assert (letters.target.mass, letters.drafter.mass, letters.same_vocabulary) == (1.0, 1.0, False)
    assert 0.0 < GPT2_LLAMA2.target.mass < 1.0


def test_the_shares_are_of_each_sides_own_vocabulary() -> None:
    """Counts by sizes."""
    sizes = [len(small_tokenizer(name).vocabulary) for name in ("gpt2", "llama2")]
    parts = (GPT2_LLAMA2.target, GPT2_LLAMA2.drafter)
    assert [part.share for part in parts] == [part.ids / size for part, size in zip(parts, sizes, strict=True)]


def test_roles_are_mapped_whatever_their_spelling() -> None:
    """Both sides' ids of each role stand side by side."""
    roles = {role.role: (role.target_ids, role.drafter_ids) for role in report("llama3", "llama2").roles}
    llama3, llama2 = small_tokenizer("llama3").vocabulary, small_tokenizer("llama2").vocabulary
    assert roles["bos"][1] == (1,)
    assert llama2.role(roles["eos"][1][0]) is not None
    assert roles["end_of_turn"] == (tuple(t for t in llama3.terminal_ids if t in roles["end_of_turn"][0]), ())


@pytest.mark.parametrize(
    ("name", "reason"),
    [("t5", "NFKC"), ("wordpiece", "lower case"), ("bpe-without-bytes", "neither a byte alphabet nor byte fallback")],
)
def test_a_tokenizer_that_loses_bytes_is_reported_with_the_reason(
    name: str, reason: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Read from a folder, it is a refusal in the report and nothing is compared."""
    folder = tmp_path_factory.mktemp(name)
    for file in tokenizer_files(name):
        (folder / file.name).write_bytes(file.data)
    found = inspect_vocabularies(side("gpt2"), pair_side(name, str(folder)), CORPUS)
    assert (found.drafter.family, found.shared, found.roles) == ("", None, ())
    assert reason in found.drafter.refusal


def test_every_accepted_tokenizer_gives_the_corpus_back() -> None:
    """No round trip fails."""
    found = report("gemma", "unigram")
    assert (found.target.round_trip_failures, found.drafter.round_trip_failures) == ((), ())


class Shouting:
    """A codec that gives text back in capitals."""

    def encode_bytes(self, text: bytes) -> list[int]:
        """One id a byte."""
        return list(text)

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """In capitals."""
        return bytes(ids).upper()


def test_texts_that_do_not_come_back_are_named_by_their_beginnings() -> None:
    """Only those that differ, and at most 60 characters of each."""
    assert round_trip_failures(Shouting(), ["LOUD", "quiet" * 50, "123"]) == (("quiet" * 50)[:60],)


def test_comparing_tokenizers_needs_no_torch() -> None:
    """The module is imported where no model can run."""
    code = "import sys, draftmesh.inspection.vocabularies; sys.exit('torch' in sys.modules or 'grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
