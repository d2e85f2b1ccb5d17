"""The commands: each file has an example and its work in `run`; `main.COMMANDS` says what they are about.

Some have `SETTINGS`, the fields of `Settings` that get a flag, or `add`, which adds arguments of their own. `parser`
reads the words, and `blocking` lets a signal end what waits for a terminal or a pipe.
"""
