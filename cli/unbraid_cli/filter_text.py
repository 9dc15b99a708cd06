"""Conditions as they are written on a command line.

categories=Books|Music    any of these           price<20    price>=5    price==9.99
tags=new&sale             all of these           created_time>=2024-01-01
brand!=Acme|Fakir         none of these          on_sale     !on_sale
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta

from unbraid_cli.history_file import parse_time
from unbraid_client import AllOf, AnyOf, Condition, IsSet, NoneOf, Numbers, Times
from unbraid_core.errors import InvalidInput

__all__ = ["parse_condition"]

OPTION = "--filter"
WRITTEN = re.compile(r"(?P<attribute>[^=<>!]+)(?P<sign>==|!=|<=|>=|=|<|>)(?P<value>.*)", re.DOTALL)
FLAG = re.compile(r"(?P<negation>!?)(?P<attribute>[^=<>!]+)")
HOW = "write for example 'categories=Books|Music', 'brand!=Acme', 'price<20', 'created_time>=2024-01-01' or 'on_sale'"
# Times are sent to the microsecond.
JUST_LATER = timedelta(microseconds=1)


def parse_condition(text: str) -> Condition:
    """The condition that a text stands for.

    Raises:
        InvalidInput: it stands for none.
    """
    flag, written = FLAG.fullmatch(text), WRITTEN.fullmatch(text)
    if flag:
        return IsSet(flag["attribute"].strip(), value=not flag["negation"])
    if not written or not written["value"].strip():
        raise InvalidInput(OPTION, f"{text!r} is no condition; {HOW}")
    attribute, sign, value = written["attribute"].strip(), written["sign"], written["value"].strip()
    if sign in ("=", "!="):
        return _of_text(attribute, sign, value)
    number = _number(value)
    if number is not None:
        return _of_number(attribute, sign, number)
    return _of_time(attribute, sign, parse_time(value, OPTION))


def _of_text(attribute: str, sign: str, value: str) -> Condition:
    if sign == "!=":
        return NoneOf(attribute, value.split("|"))
    if "&" in value and "|" in value:
        raise InvalidInput(OPTION, f"{value!r} mixes | and &; use --filter twice")
    return AllOf(attribute, value.split("&")) if "&" in value else AnyOf(attribute, value.split("|"))


def _of_number(attribute: str, sign: str, number: float) -> Condition:
    match sign:
        case "==":
            return Numbers(attribute, least=number, most=number)
        case ">=":
            return Numbers(attribute, least=number)
        case ">":
            return Numbers(attribute, above=number)
        case "<=":
            return Numbers(attribute, most=number)
        case _:
            return Numbers(attribute, below=number)


def _of_time(attribute: str, sign: str, time: datetime) -> Condition:
    match sign:
        case "==":
            return Times(attribute, start=time, end=time + JUST_LATER)
        case ">=":
            return Times(attribute, start=time)
        case ">":
            return Times(attribute, start=time + JUST_LATER)
        case "<=":
            return Times(attribute, end=time + JUST_LATER)
        case _:
            return Times(attribute, end=time)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
