"""What pages and cards are built of: headings, tables, charts, source text, files to save."""
