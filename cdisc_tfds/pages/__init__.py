"""What every page of the project is made of: the page itself, charts, tables, pictures."""
