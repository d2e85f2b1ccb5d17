"""The commands: each file defines the arguments of one in `add` and runs it in `run`."""
