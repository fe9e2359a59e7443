"""A deployment under Ray, used through the command line and the client."""

from __future__ import annotations

import pytest

from draftmesh.client import Client, GenerateOptions
from draftmesh.demo.prompts import demo_prompts
from tests.helpers.up import UpProcess, run_cli

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

DRAFTERS = ("demo", "demo-unigram", "ngram")
SETTINGS = (("--temperature", "0"), ("--temperature", "0.8", "--seed", "7"))


def generate(deployed: UpProcess, *arguments: str) -> str:
    """What ``draftmesh generate`` prints to standard output."""
    prompt = demo_prompts()[0]
    done = run_cli("generate", prompt, "--address", deployed.listen, "--max-tokens", "48", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("setting", SETTINGS, ids=" ".join)
def test_the_command_prints_the_same_text_whoever_drafts(deployed: UpProcess, setting: tuple[str, ...]) -> None:
    """`draftmesh generate` gives byte-identical text for `off`, both model drafters, and ngram."""
    alone = generate(deployed, *setting, "--method", "off")
    assert alone.strip()
    for drafter in DRAFTERS:
        assert alone == generate(deployed, *setting, "--method", "exact", "--drafter", drafter)


def test_every_replica_is_listed_and_ready(deployed: UpProcess) -> None:
    """`draftmesh pools` shows the verifier and the three drafters."""
    done = run_cli("pools", "--address", deployed.listen)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("verifier", *DRAFTERS))


def test_a_session_is_read_through_the_shard_that_does_not_own_it(deployed: UpProcess) -> None:
    """GetSession and resuming are forwarded by the session id."""
    own, other = deployed.shard_addresses()
    with Client(own) as at_owner, Client(other) as elsewhere:
        generation = at_owner.generate(demo_prompts()[1], GenerateOptions(max_tokens=16))
        session = elsewhere.session(generation.session_id)
        with elsewhere.resume(generation.session_id, offset=4) as stream:
            rest = b"".join(chunk.data for chunk in stream)
    assert (session.data, session.finish_reason) == (generation.data, generation.finish_reason)
    assert rest == generation.data[4:]


def test_a_session_is_cancelled_through_the_shard_that_does_not_own_it(deployed: UpProcess) -> None:
    """CancelSession is forwarded, and the stream ends as cancelled."""
    own, other = deployed.shard_addresses()
    options = GenerateOptions(max_tokens=300, ignore_eos=True, method="off")
    with Client(own) as at_owner, Client(other) as elsewhere, at_owner.stream(demo_prompts()[2], options) as stream:
        chunks = iter(stream)
        next(chunks)
        assert elsewhere.cancel(stream.session_id)
        for _ in chunks:
            pass
        assert stream.result.finish_reason.name == "CANCELLED"


def test_an_unknown_model_is_one_clear_line(deployed: UpProcess) -> None:
    """The command fails with the error's reason, without a traceback."""
    done = run_cli("generate", "x", "--address", deployed.listen, "--model", "nonesuch")
    assert (done.returncode, "UNKNOWN_MODEL" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
