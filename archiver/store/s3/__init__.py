"""S3: the store in a bucket, and what it stands on, from a key to the bytes on a connection."""
