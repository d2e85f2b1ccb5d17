"""The commands: each file has what one is about, an example, and its work in `run`.

Some have `SETTINGS`, the fields of `Settings` that get a flag, or `add`, which adds arguments of their own.
"""
