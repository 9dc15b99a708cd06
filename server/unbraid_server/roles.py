"""Who may make which call: three roles, each allowed what the one before is, and one table of methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["METHOD_ROLES", "OPEN_METHODS", "Principal", "Role", "role_named"]


class Role(IntEnum):
    """What a caller may do."""

    READ = 1
    WRITE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, and as what.

    Attributes:
        name: unique within the server; begins with the kind of proof: ``token:``, ``jwt:`` or ``certificate:``.
        role: what it may do.
    """

    name: str
    role: Role


# Load balancers and orchestrators ask for health before they know anything.
OPEN_METHODS = "/grpc.health.v1.Health/"

# The least role for every method. What is not here may be called by nobody where calls are authenticated.
METHOD_ROLES: Mapping[str, Role] = {
    "/unbraid.v1.RecommendationService/Recommend": Role.READ,
    "/unbraid.v1.RecommendationService/BatchRecommend": Role.READ,
    "/unbraid.v1.RecommendationService/StreamRecommend": Role.READ,
    "/unbraid.v1.RecommendationService/GetInterests": Role.READ,
    "/unbraid.v1.RecommendationService/RankItems": Role.READ,
    "/unbraid.v1.RecommendationService/SimilarItems": Role.READ,
    "/unbraid.v1.CatalogService/GetItems": Role.READ,
    "/unbraid.v1.CatalogService/ListItems": Role.READ,
    "/unbraid.v1.CatalogService/UpsertItems": Role.WRITE,
    "/unbraid.v1.CatalogService/DeleteItems": Role.WRITE,
    "/unbraid.v1.ReleaseService/ListReleases": Role.ADMIN,
    "/unbraid.v1.ReleaseService/ActivateRelease": Role.ADMIN,
    "/unbraid.v1.ReleaseService/RollbackRelease": Role.ADMIN,
    "/unbraid.v1.ReleaseService/RebuildIndex": Role.ADMIN,
    "/unbraid.v1.StatusService/GetStatus": Role.READ,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Role.READ,
}


def role_named(name: object) -> Role | None:
    """The role of a lower-case name, None where there is no such role."""
    return next((role for role in Role if role.name.lower() == name), None)
