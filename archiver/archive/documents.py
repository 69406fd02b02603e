"""What judging finds as documents: `--json` prints them, tables are made of them, and the API answers with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from archiver.analysis.luck import Luck
    from archiver.analysis.overfitting import Overfitting
    from archiver.analysis.parameters import Importance, Parameters
    from archiver.analysis.portfolio import Held, Portfolio
    from archiver.analysis.samples import Samples

_FIGURES = ("total", "cagr", "volatility", "sharpe", "sortino", "calmar")


def parameters_document(
    found: Parameters,
    x: str | None = None,
    y: str | None = None,
    *,
    how: str = "mean",
    plateau: bool = False,
    limit: int | None = None,
    importance: Callable[[], Mapping[str, Importance]] | None = None,
    robustness: Callable[[], pa.Table] | None = None,
) -> dict[str, Any]:
    """Return what parameters say: of two a map, of one the metric by its values, of none all with their importance.

    Arguments:
        found: a metric by its parameters.
        x, y: two of them, by their columns or plain names.
        how: what a map's cells show: mean, best, median, worst or count.
        plateau: strategies beside their neighbours, the best plateau first, at most `limit`.
        importance, robustness: what gives what `found` has methods of these names for, where it is kept.

    Raises ConfigError for a parameter that is not there, and for what contradicts each other.
    """
    if plateau and x:
        raise ConfigError("the plateau is of all parameters: leave X and Y out")
    if y and not x:
        raise ConfigError(f"a map is over two parameters: give another one beside {y!r}")
    head = {"metric": found.metric, "greatest": found.greatest, "strategies": len(found.values)}
    if plateau:
        return {**head, "of": "plateau", "rows": _plateau(found, (robustness or found.robustness)(), limit)}
    if x is None:
        return {**head, "of": "parameters", "rows": _importance(found, (importance or found.importance)())}
    if y is None:
        return {**head, "of": found.axis(x).label, "rows": found.slice(x).to_pylist()}
    heat = found.heat(x, y, how)
    return {
        **head,
        "how": how,
        "x": found.axis(x).label,
        "y": found.axis(y).label,
        "x_values": heat.x.labels,
        "y_values": heat.y.labels,
        "values": heat.values.tolist(),
        "counts": heat.counts.tolist(),
    }


def _plateau(found: Parameters, robust: pa.Table, limit: int | None) -> list[dict[str, Any]]:
    from archiver.query.selection import Ask, take

    # The worse of two of the metric's own numbers: its best is that end of it.
    rows: list[dict[str, Any]] = take(robust, Ask(sort=(("plateau", found.greatest),)))[:limit].to_pylist()
    return rows


def _importance(found: Parameters, told: Mapping[str, Importance]) -> list[dict[str, Any]]:
    rows = []
    for name, importance in told.items():
        one, means = found.axis(name), found.slice(name)["mean"].to_pylist()
        known = [value for value in means if value is not None]
        best = (max if found.greatest else min)(known, default=None)
        rows.append(
            {
                "parameter": one.label,
                "values": len(one.values),
                "from": one.values[0],
                "to": one.values[-1],
                "alone": importance.alone,
                "with_others": importance.with_others,
                "best_at": found.classes(name).labels[means.index(best)] if best is not None else None,
                "mean_there": best,
            }
        )
    return rows


def samples_document(found: Samples, limit: int | None = None) -> dict[str, Any]:
    """Return strategies in and out of sample: what is said of all, and the best `limit` inside."""
    told = ("inside", "outside", "metric", "rank_correlation", "decay", "better")
    return {
        **{name: getattr(found, name) for name in told},
        "strategies": found.table.num_rows,
        "rows": found.table[:limit].to_pylist(),
    }


def luck_document(luck: Luck, overfitting: Overfitting) -> dict[str, Any]:
    """Return how much of a run's best is luck: the deflated Sharpe ratio and the probability of overfitting, with what they are from."""
    return {"luck": asdict(luck), "overfitting": asdict(overfitting)}


def portfolio_document(found: Portfolio) -> dict[str, Any]:
    """Return strategies held together: each with its weights and figures over the common days, and the sums."""
    rows = [
        {
            "strategy_name": name,
            "equal_weight": found.equal.weights[name],
            "inverse_volatility": found.inverse.weights[name],
            **_figures(found.alone[name]),
            "mean_correlation": found.mean_with_others(name),
        }
        for name in found.names
    ]
    return {
        "from": found.days[0].isoformat(),
        "to": found.days[-1].isoformat(),
        "days": len(found.days),
        "returns": found.share,
        "best": found.best,
        "mean_correlation": found.mean_correlation,
        "diversification": found.diversification,
        "equal_weight": _figures(found.equal),
        "inverse_volatility": _figures(found.inverse),
        "strategies": rows,
        "correlation": found.correlation,
        "left_out": found.left_out,
    }


def _figures(held: Held) -> dict[str, float | None]:
    sheet = held.sheet
    figures = {name: getattr(sheet, name) for name in _FIGURES}
    return {**figures, "max_drawdown": sheet.drawdowns[0].depth if sheet.drawdowns else 0.0}
