"""The command line: `python -m statsd COMMAND`, or `statsd-live COMMAND` where it is installed.

What this file and `statsd/__init__.py` say must be understood by older versions of Python, too.
"""

import sys

import statsd

OLDEST = (3, 11)


def run() -> int:
    """Run one command and return its exit code."""
    if getattr(statsd, "DISTRIBUTION", None) != "statsd-live":
        sys.exit(
            "another package named statsd hides this one: pip uninstall -y statsd statsd-live, install statsd-live"
        )
    if sys.version_info[:2] < OLDEST:
        wanted, version = ".".join(map(str, OLDEST)), sys.version.split()[0]
        sys.exit(f"statsd-live needs Python {wanted} or newer, and this is {version}: try python{wanted} -m statsd")
    if sys.platform == "win32":
        sys.exit("statsd-live runs on Linux and macOS: on Windows, run it in WSL (wsl --install)")
    try:
        from statsd.commands.main import main  # noqa: PLC0415 - only after the checks above

        return main()
    except KeyboardInterrupt:  # before a command takes the signal itself
        return 130
    except ModuleNotFoundError as error:
        package = (error.name or "statsd").split(".")[0]
        if package == "statsd":
            raise
        what = f"-e {statsd.HOME}" if (statsd.HOME / "setup.cfg").exists() else "statsd-live"
        has_own_packages = sys.prefix != sys.base_prefix  # outside a venv many systems let pip install nothing
        python = sys.executable if has_own_packages else "python3 -m venv .venv && .venv/bin/python"
        sys.exit(f"statsd: the package {package} is missing: {python} -m pip install {what}")


if __name__ == "__main__":
    sys.exit(run())
