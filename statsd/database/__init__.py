"""PostgreSQL: the pool, the migrations, the SQL files, and the embedded server."""
