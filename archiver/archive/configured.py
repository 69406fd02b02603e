"""What the configuration says that an archive should do: policies and bucket rules, where they stand, for which archive."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError, PolicyError
from archiver.retention.policy import Policy, parse_policies

if TYPE_CHECKING:
    from archiver.config.settings import Settings
    from archiver.retention.bucket_rules import Wishes


@dataclass(frozen=True)
class Configured:
    """The tables `[[policy]]` and `[lifecycle]`, each with its file and with the archive it is for if for another one."""

    policy: Sequence[Mapping[str, Any]] = ()
    policy_origin: str = "the configuration"
    policy_other: str | None = None
    lifecycle: Mapping[str, Any] = field(default_factory=dict)
    lifecycle_origin: str = "the configuration"
    lifecycle_other: str | None = None

    @staticmethod
    def of(settings: Settings) -> Configured:
        """Take them from settings."""
        return Configured(
            settings.policy,
            settings.origins["policy"],
            settings.elsewhere("policy"),
            settings.lifecycle,
            settings.origins["lifecycle"],
            settings.elsewhere("lifecycle"),
        )

    @property
    def place(self) -> str:
        """Where the policies stand, as short as can be."""
        here = f"{Path.cwd()}{os.sep}"
        origin = self.policy_origin
        return f".{os.sep}{origin.removeprefix(here)}" if origin.startswith(here) else origin

    def policies(self, url: str) -> list[Policy]:
        """Read the policies of an archive. Raises PolicyError when they are for another, or cannot be meant."""
        if self.policy and self.policy_other is not None:
            raise PolicyError(
                f"the policies of {self.place} are for {self.policy_other}, not for {url}: give rules in the call, or"
                " write policies without a url beside them"
            )
        return parse_policies(self.policy)

    def wishes(self) -> Wishes:
        """Read what a bucket should do. Raises ConfigError when that is for another archive, or cannot be meant."""
        from archiver.retention.bucket_rules import Wishes

        if self.lifecycle and self.lifecycle_other is not None:
            raise ConfigError(
                f"[lifecycle] in {self.lifecycle_origin} is for {self.lifecycle_other}: call this from another folder,"
                " or write it without a url beside it"
            )
        return Wishes.of(self.lifecycle)
