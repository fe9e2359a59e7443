"""What a caller asks for becomes one request."""

from __future__ import annotations

from dataclasses import fields

import pytest

from draftmesh.client import GenerateOptions
from draftmesh.client.options import Prompt
from draftmesh.core.errors import InvalidRequestError
from draftmesh.core.sampling import Method
from draftmesh.v1 import common_pb2, coordinator_pb2

EVERYTHING = GenerateOptions(
    model="target",
    max_tokens=7,
    temperature=0.5,
    top_k=40,
    top_p=0.9,
    min_p=0.25,
    repetition_penalty=1.5,
    presence_penalty=0.75,
    frequency_penalty=-0.5,
    logprobs=0,
    seed=0,
    stop=("ä", b"\n"),
    ignore_eos=True,
    method="tli-exact",
    drafter="small",
    max_draft_tokens=0,
    timeout_s=3.0,
)
ALL_SAMPLING = common_pb2.Sampling(
    temperature=0.5,
    top_k=40,
    top_p=0.9,
    min_p=0.25,
    repetition_penalty=1.5,
    presence_penalty=0.75,
    frequency_penalty=-0.5,
    logprobs=0,
)


def test_every_option_has_its_field() -> None:
    """Each option is sent under its name; zeros that mean something are sent too."""
    expected = coordinator_pb2.GenerateRequest(
        text=b"x",
        model="target",
        sampling=ALL_SAMPLING,
        seed=0,
        stop=common_pb2.StopConditions(max_tokens=7, stop=["ä".encode(), b"\n"], ignore_eos=True),
        method=common_pb2.METHOD_TLI_EXACT,
        drafter="small",
        max_draft_tokens=0,
    )
    assert expected == EVERYTHING.request("x")


def test_the_test_above_sets_every_option() -> None:
    """No option has its default there, so that none could be forgotten."""
    default = GenerateOptions()
    assert [
        field.name for field in fields(default) if getattr(EVERYTHING, field.name) == getattr(default, field.name)
    ] == []


def test_what_is_not_said_is_not_sent() -> None:
    """Without options every optional field is unset, so that the coordinator decides."""
    request = GenerateOptions().request("x")
    sent = {field.name for field, _ in request.sampling.ListFields()} | {
        field.name for field, _ in request.ListFields()
    }
    assert sent == {"text", "sampling", "stop", "method"}
    assert request.stop == common_pb2.StopConditions()


@pytest.mark.parametrize("prompt", ["grün", "grün".encode()])
def test_a_text_prompt_is_sent_as_utf8(prompt: Prompt) -> None:
    """Text is encoded, bytes are sent as they are."""
    assert GenerateOptions().request(prompt).text == b"gr\xc3\xbcn"


def test_a_prompt_of_ids_is_sent_as_ids() -> None:
    """Token ids are used as they are."""
    request = GenerateOptions().request([5, 0, 7])
    assert (request.WhichOneof("prompt"), [*request.ids.ids]) == ("ids", [5, 0, 7])


def test_an_empty_text_is_a_text() -> None:
    """An empty prompt is for the coordinator to refuse, not to be taken for no prompt."""
    assert GenerateOptions().request("").WhichOneof("prompt") == "text"


@pytest.mark.parametrize("method", Method)
def test_every_method_has_a_name(method: Method) -> None:
    """Each method is asked for by its label."""
    assert int(method) == GenerateOptions(method=method.label).request("x").method


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    """The error names every method that there is."""
    with pytest.raises(InvalidRequestError, match=r"'magic'.*auto, off, exact, tli, tli-exact, rejection, slrs"):
        GenerateOptions(method="magic").request("x")


@pytest.mark.parametrize(
    ("prompt", "options"),
    [
        ("x", GenerateOptions(seed=-1)),
        ("x", GenerateOptions(seed=1 << 64)),
        ("x", GenerateOptions(max_tokens=-1)),
        ("x", GenerateOptions(top_k=1 << 32)),
        ("\ud800", GenerateOptions()),
        ((1, -1), GenerateOptions()),
    ],
)
def test_what_cannot_be_sent_is_an_invalid_request(prompt: Prompt, options: GenerateOptions) -> None:
    """Numbers that their field cannot hold and text without an encoding raise our own error."""
    with pytest.raises(InvalidRequestError, match="cannot be sent"):
        options.request(prompt)
