"""Bucket rules as values: read, build, merge, refuse, estimate, simulate. Pure but for `lifecycle`, which asks the bucket."""

from __future__ import annotations

from archiver.retention.bucket_rules.build import Wishes, build_rules, inexpressible, protected_tags
from archiver.retention.bucket_rules.document import Document, Move, Rule, parse
from archiver.retention.bucket_rules.merge import (
    Change,
    at_risk,
    dangers,
    describe,
    is_ours,
    merge,
    named,
    out_of_reach,
    refuse,
    refuse_pins,
)
from archiver.retention.bucket_rules.prices import COLD, MINIMUM_DAYS, Estimate, Prices, estimate
from archiver.retention.bucket_rules.simulate import Event, simulate

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
    "out_of_reach",
    "parse",
    "protected_tags",
    "refuse",
    "refuse_pins",
    "simulate",
]
