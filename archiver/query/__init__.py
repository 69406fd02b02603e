"""Which rows: filters, order, SQL, folders of a bucket."""
