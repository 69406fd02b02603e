"""What the API says of searches: the documents that the commands print with `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import request

from archiver.archive.documents import (
    luck_document,
    parameters_document,
    portfolio_document,
    samples_document,
)
from archiver.web.api.given import text, whole, yes

if TYPE_CHECKING:
    from archiver.web.reading.site import Site

ENDPOINTS = {
    "/api/parameters": "a metric by the parameters of strategies: universe, run, newest, where, metric, x, y, how, plateau, limit",
    "/api/samples": "strategies in and out of sample: inside, outside, metric, limit",
    "/api/portfolio": "strategies held together: strategy (repeatable) or top, universe, run",
    "/api/runs/<run>/luck": "how much of its best is luck: deflated Sharpe ratio, probability of overfitting",
}
_MOST_ROWS = 10_000


def parameters(site: Site) -> dict[str, Any]:
    """Return what the parameters of a selection say, as its page shows them and `archiver params --json` prints them."""
    # The page's address says the same of a selection.
    search = site.searches.of(site.data, site.views, request.args.to_dict(flat=False))
    how, limit = text("how") or "mean", whole("limit", _MOST_ROWS)
    return parameters_document(
        search.found,
        text("x"),
        text("y"),
        how=how,
        plateau=yes("plateau"),
        limit=limit,
        importance=lambda: site.searches.importance(search),
        robustness=lambda: site.searches.robust(search).table,
    )


def samples(site: Site) -> dict[str, Any]:
    """Return strategies in and out of sample, as `archiver samples --json` prints them."""
    found = site.data.archive.samples(text("inside"), text("outside"), text("metric"))
    return samples_document(found, whole("limit", _MOST_ROWS))


def portfolio(site: Site) -> dict[str, Any]:
    """Return strategies held together, as `archiver portfolio --json` prints them."""
    names = request.args.getlist("strategy")
    found = site.data.archive.portfolio(
        names, universe=text("universe"), run=text("run"), top=whole("top", 10), errors=lambda _: None
    )
    return portfolio_document(found)


def luck(site: Site, run: str) -> dict[str, Any]:
    """Return how much of a run's best is luck, as `archiver show --json` prints it."""
    archive = site.data.archive
    return {"run": archive.record(run).run, **luck_document(archive.luck(run), archive.overfitting(run))}
