"""What a release says about its index, and what it says about searches among a part of the items."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from unbraid_core.release.fields import Strict

__all__ = ["FilterCodes", "FilterCosts", "IndexSpec"]


class FilterCosts(Strict):
    """What a search among allowed rows costs on this index, as measured when it was built, and what it may leave out.

    Lists of the index are left out as long as no more than ``missed_share`` of the wanted rows are expected in them:
    so the recall that the index was built for is reached with filters, too.
    """

    missed_share: Annotated[float, Field(gt=0)]
    spread_factor: Annotated[float, Field(gt=0, description="how far inner products of real queries are spread")]
    usual_ns: Annotated[float, Field(ge=0, description="a call that looks into lists, half of the rows allowed")]
    listed_row_ns: Annotated[
        float, Field(ge=0, description="each row of a list that a query looks into, half of them allowed")
    ]
    scanned_row_ns: Annotated[float, Field(gt=0, description="each row that is compared with the queries of a call")]

    def scan_ns(self, allowed_count: int) -> float:
        """Of comparing with every allowed row."""
        return allowed_count * self.scanned_row_ns

    def lists_ns(self, listed_count: int) -> float:
        """Of looking into lists that hold so many rows, counted for each query."""
        return listed_count * self.listed_row_ns


class FilterCodes(Strict):
    """How the rows that a recurring filter allows are searched by their codes, as measured when the index was built."""

    shortlist_percent: Annotated[int, Field(ge=100, description="rows that codes propose, of those asked for")]
    least_rows: Annotated[int, Field(ge=1, description="with fewer allowed rows, comparing with each costs less")]
    call_ns: Annotated[float, Field(ge=0, description="a call, however few rows are allowed")]
    row_ns: Annotated[float, Field(gt=0, description="each allowed row")]

    def search_ns(self, allowed_count: int) -> float:
        """Of a search by codes."""
        return self.call_ns + allowed_count * self.row_ns


class IndexSpec(Strict):
    """How index.faiss was built and what it reached against the exact oracle.

    ``recall`` is merged: of the union of the lists of a user's interests, cut to quotas, ``recall_at`` items of them
    at most. In releases without ``recall_lower_bound`` it is that of single interests.
    """

    family: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    # Left out of the text where there is none, as in releases from before there was a choice of families.
    factory: Annotated[str | None, Field(exclude_if=lambda factory: factory is None)] = None
    search_params: dict[str, int]
    recall_at: Annotated[int, Field(ge=1)]
    recall: Annotated[float, Field(ge=0, le=1)]
    recall_lower_bound: Annotated[float | None, Field(le=1, exclude_if=lambda bound: bound is None)] = None
    query_source: Literal["held-out users", "held-out interests", "item vectors"]
    # Left out where there are none: an index without lists scans what is allowed.
    filter_costs: Annotated[FilterCosts | None, Field(exclude_if=lambda costs: costs is None)] = None
    # Left out where comparing with all that is allowed costs less.
    filter_codes: Annotated[FilterCodes | None, Field(exclude_if=lambda codes: codes is None)] = None
