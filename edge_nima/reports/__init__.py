"""Reports: statistics to rows, and rows to a terminal's table, JSON and HTML pages."""
