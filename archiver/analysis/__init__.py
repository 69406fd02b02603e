"""What the numbers are worth: how much of a search is luck, tear sheets of returns; each formula with its source."""
