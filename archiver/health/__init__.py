"""Whether an archive is sound, and how full it is."""
