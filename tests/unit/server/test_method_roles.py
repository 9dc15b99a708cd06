"""The table of roles and the audit log know every method of every service, and nothing that changes is for readers."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from grpc_reflection.v1alpha import reflection_pb2

import unbraid.v1
from unbraid_server.audit import AUDITED
from unbraid_server.roles import METHOD_ROLES, Role

OURS = [
    method
    for module in iter_modules(unbraid.v1.__path__, "unbraid.v1.")
    if module.name.endswith("_pb2")
    for service in import_module(module.name).DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
REFLECTION = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].methods


def path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def reads_only(method: MethodDescriptor) -> bool:
    return bool(method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS)


def test_every_method_has_a_role_and_every_role_a_method() -> None:
    assert set(METHOD_ROLES) == {path(method) for method in [*OURS, *REFLECTION]}


@pytest.mark.parametrize("method", OURS, ids=lambda method: method.name)
def test_what_changes_something_is_no_right_of_readers_and_is_audited(method: MethodDescriptor) -> None:
    assert reads_only(method) or METHOD_ROLES[path(method)] > Role.READ
    assert reads_only(method) != (path(method) in AUDITED)


def test_releases_are_for_admins() -> None:
    releases = {role for name, role in METHOD_ROLES.items() if "/unbraid.v1.ReleaseService/" in name}
    assert releases == {Role.ADMIN}
