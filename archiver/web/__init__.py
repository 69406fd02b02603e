"""The web page and the API over one archive, read-only; needs `pip install 'archiver[web]'`.

`data` and the modules of queries (`rows`, `curves`, `bucket`, `detail`) know no framework; `api` and `pages` turn
what they return into JSON, Arrow and pages; `security` stands in front of both; `server` runs it all.
"""
