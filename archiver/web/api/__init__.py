"""The API: its addresses, the parameters of a request, tables as bytes."""
