"""The archive that every backtest writes to."""

__version__ = "0.1.0"
