"""What stays and what goes: policies, plans, the trash, garbage collection, a bucket's own rules."""

# Here, for the archive's methods have them as defaults: an archive that is only read loads no plans and no gc.
MOST = 0.5
"""Which part of the runs is removed at most, unless told otherwise."""
GRACE = "7d"
"""How long a pruned run can be brought back, and how long a save may take."""
