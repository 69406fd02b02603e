"""The pages, one file each: what a page shows is made anew for every request, from its URL alone."""
