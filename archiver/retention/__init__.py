"""What stays and what goes: policies, plans, the trash, garbage collection, a bucket's own rules."""
