"""What stands in front of every request: host, token, origin, and what Dash may be asked."""
