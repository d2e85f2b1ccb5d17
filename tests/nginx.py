"""The frontend container's nginx, run on this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

from folders import ROOT
from ports import free_port
from waiting import PATIENCE_SECONDS, missing


def nginx() -> str:
    """Return where nginx is; without one the tests are skipped, but never on CI."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    return found or missing("there is no nginx: `apt-get install nginx`")


class Nginx:
    """static/nginx.conf with this machine's addresses in place of the container's; nothing else is changed."""

    def __init__(self, folder: Path, backend: str, resolver: str = "127.0.0.11") -> None:
        self.port = free_port()
        places = {
            "listen 8080": f"listen 127.0.0.1:{self.port}",
            "/usr/share/nginx/html": str(ROOT / "static"),
            "backend:8080": backend,
            "127.0.0.11": resolver,
            "10.87.213.1": "127.0.0.1",
        }
        text = (ROOT / "static" / "nginx.conf").read_text()
        for container, here in places.items():
            assert container in text
            text = text.replace(container, here)
        config = folder / "nginx.conf"
        config.write_text(text)
        # Started by root, workers would be `nobody`, whom a checkout may not let in.
        directives = "daemon off;" + ("user root;" if os.geteuid() == 0 else "")
        self.log = folder / "nginx.log"
        with self.log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [nginx(), "-p", f"{folder}/", "-e", "stderr", "-c", str(config), "-g", directives], stderr=stderr
            )

    def accepts(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)
