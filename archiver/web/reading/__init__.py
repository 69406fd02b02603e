"""What pages and the API read of an archive, made fit to be shown: records, rows, curves, searches."""
