"""What pages are put together from, one subject a file: a card knows no page."""
