"""The command line: `python -m statsd COMMAND`."""

import sys

import statsd


def run() -> int:
    """Run one command and return its exit code."""
    if getattr(statsd, "DISTRIBUTION", None) != "statsd-live":
        sys.exit(
            "another package named statsd hides this one: pip uninstall -y statsd statsd-live, install statsd-live"
        )
    from statsd.commands.main import main  # noqa: PLC0415 - only after the check above

    return main()


if __name__ == "__main__":
    sys.exit(run())
