"""Which requests get a line: conditions, expressions and sampling."""
