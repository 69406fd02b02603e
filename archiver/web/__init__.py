"""The web page and the API over one archive, read-only; needs `pip install 'archiver[web]'`.

`server` runs `app`, behind `guard`. What is shown is read in `reading`, which knows no framework; `api` answers it as JSON,
Arrow, CSV and Parquet, `pages` as pages, of `cards`, of `elements`, in `words`.
"""
