"""Prompts are beginnings of definitions in held-out files."""

from __future__ import annotations

from draftmesh.demo.corpus import Corpus, SourceFile
from draftmesh.demo.prompts import all_prompts, prompts_from, spread

BODY = "".join(f"    value_{index} = compute({index})\n" for index in range(12))


def _corpus(*definitions: str) -> Corpus:
    text = "\n\n".join(f"def {name}(x):\n{BODY}" for name in definitions)
    return Corpus(training=(), held_out=(SourceFile("module.py", f"import os\n\n{text}"),))


def test_a_prompt_begins_with_a_definition_and_ends_with_a_line() -> None:
    """The first definition gives its head and the lines up to 120 characters."""
    prompt = prompts_from(_corpus("first"))[0]
    assert (prompt.startswith("def first(x):\n"), prompt.endswith("\n"), 120 <= len(prompt) < 160) == (True, True, True)


def test_equal_beginnings_give_one_prompt() -> None:
    """A definition that occurs twice is one prompt."""
    assert len(prompts_from(_corpus("first", "first", "second"))) == 2


def test_prompts_are_spread_evenly() -> None:
    """Three of nine are every third."""
    assert spread(tuple("abcdefghi"), 3) == ("a", "d", "g")


def test_shipped_prompts_have_the_form_of_made_ones() -> None:
    """Every shipped prompt begins with a definition and ends with a line."""
    odd = [p for p in all_prompts() if not (p.lstrip(" ").startswith(("def ", "class ")) and p.endswith("\n"))]
    assert odd == []
