"""Bucket rules as values: read, build, merge, refuse, estimate, simulate. All of it pure: nothing here asks a store."""

from __future__ import annotations

from archiver.rules.build import Wishes, build_rules, inexpressible, protected_tags
from archiver.rules.document import Document, Move, Rule, parse
from archiver.rules.merge import (
    Change,
    at_risk,
    dangers,
    describe,
    is_ours,
    merge,
    named,
    refuse,
    refuse_pins,
)
from archiver.rules.prices import COLD, MINIMUM_DAYS, Estimate, Prices, estimate
from archiver.rules.simulate import Event, simulate

__all__ = [
    "COLD",
    "MINIMUM_DAYS",
    "Change",
    "Document",
    "Estimate",
    "Event",
    "Move",
    "Prices",
    "Rule",
    "Wishes",
    "at_risk",
    "build_rules",
    "dangers",
    "describe",
    "estimate",
    "inexpressible",
    "is_ours",
    "merge",
    "named",
    "parse",
    "protected_tags",
    "refuse",
    "refuse_pins",
    "simulate",
]
