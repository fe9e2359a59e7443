"""Every RPC of the protos is implemented by its service, and called by its client."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable

import pytest
from google.protobuf.descriptor import ServiceDescriptor

from draftmesh.transport.peers import GrpcDrafter, GrpcVerifier
from draftmesh.v1 import (
    coordinator_pb2,
    coordinator_pb2_grpc,
    drafter_pb2,
    drafter_pb2_grpc,
    verifier_pb2,
    verifier_pb2_grpc,
)

SERVICES = {
    "DrafterService": (drafter_pb2, drafter_pb2_grpc.DrafterServiceServicer, "draftmesh.drafter.service"),
    "VerifierService": (verifier_pb2, verifier_pb2_grpc.VerifierServiceServicer, "draftmesh.verifier.service"),
    "CoordinatorService": (
        coordinator_pb2,
        coordinator_pb2_grpc.CoordinatorServiceServicer,
        "draftmesh.coordinator.service",
    ),
}
"""Proto module, generated base class, and the module of the implementation."""

WRAPPERS: dict[str, dict[str, Callable[..., object]]] = {
    "DrafterService": {
        "Draft": GrpcDrafter.open,
        "RegisterVocabulary": GrpcDrafter.register_vocabulary,
        "GetDrafterInfo": GrpcDrafter.info,
        "GetDrafterTokenizer": GrpcDrafter.tokenizer_files,
        "WatchDrafter": GrpcDrafter.watch,
    },
    "VerifierService": {
        "Verify": GrpcVerifier.open,
        "GetVerifierInfo": GrpcVerifier.info,
        "GetVerifierTokenizer": GrpcVerifier.tokenizer_files,
        "WatchVerifier": GrpcVerifier.watch,
    },
}
"""The method of a peer that makes each call."""


def descriptor(service: str) -> ServiceDescriptor:
    """The service as the protos define it."""
    found: ServiceDescriptor = SERVICES[service][0].DESCRIPTOR.services_by_name[service]
    return found


def implementation(service: str) -> type:
    """The one class in the daemon's service module that derives from the generated base."""
    _, base, name = SERVICES[service]
    module = importlib.import_module(name)
    classes = [cls for _, cls in inspect.getmembers(module, inspect.isclass) if base in cls.__mro__[1:]]
    (found,) = classes
    return found


def all_methods() -> list[tuple[str, str]]:
    """Service and method name of every RPC."""
    return [(service, method.name) for service in SERVICES for method in descriptor(service).methods]


@pytest.mark.parametrize(("service", "method"), all_methods())
def test_every_rpc_is_implemented(service: str, method: str) -> None:
    """The service class itself defines an async handler: the generated base only answers UNIMPLEMENTED."""
    handler = inspect.getattr_static(implementation(service), method)
    assert handler is not inspect.getattr_static(SERVICES[service][1], method)
    assert inspect.iscoroutinefunction(handler) or inspect.isasyncgenfunction(handler)


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_has_rpcs_that_the_protos_lack(service: str) -> None:
    """Public capitalised methods are RPCs: one that was renamed in the proto is not left behind."""
    defined = {name for name in dir(implementation(service)) if name[0].isupper()}
    assert {method.name for method in descriptor(service).methods} == defined


@pytest.mark.parametrize("service", WRAPPERS)
def test_every_rpc_of_a_peer_has_a_wrapper(service: str) -> None:
    """The table of wrappers has exactly the RPCs of the protos."""
    assert {method.name for method in descriptor(service).methods} == WRAPPERS[service].keys()


@pytest.mark.parametrize(
    ("service", "method"), [(service, method) for service, methods in WRAPPERS.items() for method in methods]
)
def test_a_wrapper_makes_its_call(service: str, method: str) -> None:
    """The code of the wrapper names the stub's method."""
    wrapper = inspect.unwrap(WRAPPERS[service][method])
    assert method in wrapper.__code__.co_names
