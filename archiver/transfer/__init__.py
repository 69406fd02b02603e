"""Runs that travel: copies between archives, bundles, checked reading of what is not trusted."""
