"""Who does which task when."""

from __future__ import annotations

from draftmesh.bench.peers.turns import Entry, TurnPlan, take_turns
from tests.unit.bench.peers.scripted import ScriptedContestant, prompts_of

PLAN = TurnPlan(prompts=((1, 1), (2, 2)), repeats=2, max_tokens=5, seed=7)


class Order:
    """Progress lines, as the order in which entries did a task."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        """Keep it."""
        self.lines.append(line)


async def test_everybody_does_a_prompt_before_anybody_does_the_next() -> None:
    """And another one is first each time."""
    order = Order()
    entries = [Entry(name, 0.0, ScriptedContestant(1.0)) for name in ("a", "b", "c")]
    await take_turns(entries, PLAN, progress=order)
    turns = [line.partition(": ")[2].split(", ") for line in order.lines[3:]]
    assert [[part.split()[0] for part in turn] for turn in turns] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


async def test_tasks_are_the_same_for_all() -> None:
    """Prompts, lengths and seeds; each repeat has seeds of its own."""
    one, other = ScriptedContestant(1.0), ScriptedContestant(1.0)
    await take_turns([Entry("a", 1.0, one), Entry("b", 1.0, other)], PLAN, progress=Order())
    assert one.asked == other.asked
    assert [(task.seed, task.temperature, task.max_tokens) for task in one.asked[1:]] == [
        (7, 1.0, 5),
        (8, 1.0, 5),
        (1007, 1.0, 5),
        (1008, 1.0, 5),
    ]


async def test_warming_up_does_not_count() -> None:
    """As many tasks as the entry wants, before anything is measured."""
    contestant = ScriptedContestant(1.0)
    entry = Entry("auto", 0.0, contestant, warm_up_tasks=3)
    await take_turns([entry], PLAN, progress=Order())
    assert prompts_of(contestant) == [(1, 1), (2, 2), (1, 1), (1, 1), (2, 2), (1, 1), (2, 2)]
    assert len(entry.served) == 4


async def test_temperatures_take_turns_too() -> None:
    """A prompt is done at every temperature before the next one is."""
    contestant = ScriptedContestant(1.0)
    await take_turns([Entry("a", temperature, contestant) for temperature in (0.0, 1.0)], PLAN, progress=Order())
    measured = contestant.asked[2:]
    assert [task.temperature for task in measured] == [0.0, 1.0] * 4
    assert [task.prompt_ids[0] for task in measured] == [1, 1, 2, 2] * 2


async def test_a_way_that_does_not_exist_is_asked_for_once() -> None:
    """The others are measured as if it were not there."""
    absent, there = ScriptedContestant(1.0, fails_from=0), ScriptedContestant(1.0)
    entries = [Entry("absent", 0.0, absent), Entry("there", 0.0, there)]
    await take_turns(entries, PLAN, progress=Order())
    assert (len(absent.asked), entries[0].served, entries[0].refusal) == (1, [], "it crashed")
    assert len(entries[1].served) == 4


async def test_a_way_that_fails_later_hands_in_nothing() -> None:
    """Half of the tasks would not compare with all of them."""
    entry = Entry("crashes", 0.0, ScriptedContestant(1.0, fails_from=3))
    await take_turns([entry], PLAN, progress=Order())
    assert (entry.served, entry.refusal) == ([], "it crashed")
