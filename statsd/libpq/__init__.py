"""The URL of a database as libpq, PostgreSQL's own library, reads it: its parts, and what each parameter does here."""
