"""What can be wrong with an installation, each with its mend: the command `doctor`.

`machine.py` looks at the settings and the data folder, `database.py` at PostgreSQL, `totals.py` at the totals. A check
yields findings. It changes nothing.
"""
