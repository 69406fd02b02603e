"""How pages write things: numbers, sizes, moments, addresses; which of several values is the best."""
