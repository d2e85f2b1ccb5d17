"""The commands: each file has what one is about, an example, its own arguments in `add`, and its work in `run`."""
