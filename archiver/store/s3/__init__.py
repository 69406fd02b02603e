"""S3: the store in a bucket, and what it stands on, from a key to the bytes on a connection.

`store` has the verbs, on `client` (requests and retries), on `link` and `form` (botocore, signatures), on `transport` and
`connections`. Beside them, for whole buckets: `bucket`, `versions`, `locks`, `classes` and `cold`, `unfinished`.
"""
