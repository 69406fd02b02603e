"""Reports: one static page on a strategy or a run, which opens offline and runs no script."""
