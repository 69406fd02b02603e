"""What a search over parameters says, as an archive tells it: its parameters, overfitting, out of sample."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from archiver.archive.listing import Listing
from archiver.base.unread import Errors
from archiver.errors import ConfigError, NotFoundError
from archiver.format.model import Record, Run
from archiver.format.text import loads
from archiver.runs.all_runs import AllRuns
from archiver.runs.packed.metrics import all_metrics
from archiver.runs.read import Reader
from archiver.runs.tags import read_tags
from archiver.store import Store

if TYPE_CHECKING:
    from archiver.analysis.overfitting import Overfitting
    from archiver.analysis.parameters import Parameters
    from archiver.analysis.samples import Samples


@dataclass(frozen=True)
class Searching:
    """Judges searches."""

    store: Store
    reader: Reader
    listing: Listing

    def parameters(
        self,
        universe: str | None = None,
        run: str | None = None,
        metric: str | None = None,
        history: bool = False,
        *,
        where: str | None = None,
        newest: str = "strategy",
        errors: Errors = "raise",
    ) -> Parameters:
        """Return what the parameters of strategies make of a metric.

        Arguments:
            universe, run, history, where, newest, errors: which strategies, as `load_metrics` takes them.
            metric: any one of numbers, greatest is best; with a `-` before it, least is. None: what the newest run was
                ranked by.

        Returns `.heat(x, y, how, at)` (a table of two parameters: mean, best, median, worst or count of the strategies
        on each cell), `.slice(name)`, `.importance()`, `.robustness()` (each strategy beside its neighbours one step
        away, with a plateau score), `.axes` and `.constant`. Raises what `load_metrics` raises.
        """
        from archiver.analysis.axes import parameter_columns
        from archiver.analysis.parameters import parameters
        from archiver.query.expression import known_column
        from archiver.query.selection import greatest_first, score_of, select
        from archiver.runs.ranking import rank_order

        records, packed = self.listing.rows(universe, run, errors)
        reader = self.reader.telling(errors)
        heads = [*records, *(packed.heads() if packed else ())]
        heads.sort(key=lambda one: (one.created, one.run), reverse=True)
        names = reader.metric_names(heads)
        name, greatest = rank_order(metric) if metric else (score_of(heads, names), True)
        if name is None:
            raise ConfigError(
                f"nothing says what is best: name a metric, one of {', '.join(sorted(names)[:8])}"
            )
        if not metric:
            greatest = greatest_first(heads, name)
        known_column(name, names)
        columns = [name, *sorted(one for one in names if one == "params" or one in parameter_columns(names))]
        read = partial(
            all_metrics, reader, records, packed, universe=universe, newest=newest, history=history
        )

        return parameters(select(read, list(dict.fromkeys(columns)), where), name, greatest=greatest)

    def overfitting(self, run: str | Run) -> Overfitting:
        """Return the probability of backtest overfitting of a run, by the equity curves that it kept.

        run: its id, the beginning of it, or the run.

        Returns `.probability` (None where no curves allow it, and then `.why_not` says why), `.loss`, `.slope`, `.ranks`
        and what they were computed from; as text it is one line. The curves are those of the best strategies: what was
        thrown away before is not counted. Raises RunNotFoundError.
        """
        from archiver.analysis.reading import overfitting_of

        return overfitting_of(self.reader, self.listing.record(run))

    def samples(
        self, inside: str | None = None, outside: str | None = None, metric: str | None = None
    ) -> Samples:
        """Hold the strategies of a run or universe against the same strategies out of sample.

        Arguments:
            inside, outside: a universe (its newest run) or a run, by its id or the beginning of it. One alone takes the
                other from the pair that it was declared in; neither takes the newest pair. A run with the tag
                `out-of-sample=NAME` is out of sample of the universe or run of that name; the universe `x_oos` is of
                `x_is` or `x`, `x_out_of_sample` of `x_in_sample`, `x_test` of `x_train`.
            metric: as `parameters` takes it.

        Returns `.table` (strategy by strategy, with decay), `.rank_correlation`, `.decay`; as text it is one line.
        Raises NotFoundError where there is no such pair, ConfigError for a metric that both do not have.
        """
        from archiver.analysis.samples import samples
        from archiver.query.selection import greatest_first, score_of
        from archiver.runs.ranking import rank_order

        first, second = self._pair(inside, outside)
        seen = self.listing.all_runs()
        out = self._newest(seen, second)
        records = [self._newest(seen, first, but=out.run), out]
        names = set.intersection(*(self.reader.metric_names([record]) for record in records))
        name, greatest = rank_order(metric) if metric else (score_of(records, names), True)
        if name is None or name not in names:
            named = f"no metric {name!r}" if name else "no metric to rank by"
            raise ConfigError(f"{named} is in both {first} and {second}")
        if not metric:
            greatest = greatest_first(records, name)
        one, other = (self.reader.metrics([record], [name], history=True) for record in records)
        return samples(one, other, name, (first, second), greatest=greatest)

    def pairs(self) -> list[tuple[str, str]]:
        """Return the pairs (inside, outside) that tags and names of universes declare, the newest outside first."""
        import pyarrow.compute as pc

        from archiver.analysis.samples import TAG, pairs_by_name
        from archiver.format.arrays import numpy_of, text_array

        table = self.listing.all_runs(lambda _: None).table
        said = table.filter(pc.match_substring(table["tags"], TAG)).select(["run", "tags"]).to_pylist()
        tags = read_tags(self.store, {row["run"]: loads(row["tags"]) for row in said})
        of = {run: next((tag for tag in own if tag.startswith(TAG)), "") for run, own in tags.items()}
        is_tagged = pc.is_in(table["run"], value_set=text_array([run for run, tag in of.items() if tag]))
        places = numpy_of(pc.indices_nonzero(is_tagged)).tolist()
        runs = table["run"].take(places).to_pylist() if places else []
        found = [(at, (of[run].removeprefix(TAG), run)) for at, run in zip(places, runs, strict=True)]
        for inside, outside in pairs_by_name(pc.unique(table["universe"]).to_pylist()):
            own = pc.and_(pc.equal(table["universe"], outside), pc.invert(is_tagged))
            at = pc.index(own, True).as_py()
            if at >= 0:
                found.append((at, (inside, outside)))
        return list(dict.fromkeys(pair for _, pair in sorted(found)))

    def _pair(self, inside: str | None, outside: str | None) -> tuple[str, str]:
        if inside is not None and outside is not None:
            return inside, outside
        for first, second in self.pairs():
            if inside in (None, first) and outside in (None, second):
                return first, second
        what = inside or outside
        raise NotFoundError(
            (
                "no pair in and out of sample is declared"
                if what is None
                else f"{what!r} is in no declared pair"
            )
            + ": give both, tag a run out-of-sample=UNIVERSE, or call a universe NAME_oos"
        )

    def _newest(self, seen: AllRuns, name: str, but: str = "") -> Record:
        """Return the newest run of a universe, leaving one out, or the run of that name."""
        records = [record for record in seen.newest_records(2, name) if record.run != but]
        return records[0] if records else self.listing.record(name)
