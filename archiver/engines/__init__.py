"""Results of backtesting engines, turned into what archiver keeps."""
