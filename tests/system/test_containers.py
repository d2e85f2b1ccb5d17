"""The images and how compose runs them: read as text, and their backend built here by the steps of the Dockerfile."""

from __future__ import annotations

import email
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from ipaddress import IPv4Network, ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from folders import ROOT
from packaging.requirements import Requirement
from program import Program

from statsd import __version__, settings
from statsd.streams.webhooks import presets

BUILD_FILES = {"LICENSE", "README.md", "pyproject.toml", "setup.cfg"}
FRONTEND_FILES = {"static/nginx.conf"}
LOGIN = {"user_id": 7, "ip_address": "203.0.113.7", "region": "Estonia", "device_type": "Desktop", "browser": "Firefox"}

Stage = list[tuple[str, str]]


def stages() -> dict[str, Stage]:
    """The Dockerfile's stages by name, in order; each its instructions and their arguments."""
    text = (ROOT / "Dockerfile").read_text()
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    found: dict[str, Stage] = {}
    for line in filter(None, joined.splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            found[rest.split(" AS ")[1]] = []
        list(found.values())[-1].append((instruction, rest.strip()))
    return found


def arguments(stage: str, instruction: str) -> list[str]:
    return [rest for name, rest in stages()[stage] if name == instruction]


def command(stage: str, instruction: str) -> list[str]:
    """The arguments of a command in exec form."""
    (rest,) = arguments(stage, instruction)
    argv = json.loads(rest[rest.index("[") :])
    assert isinstance(argv, list)
    return argv


def environment(stage: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in arguments(stage, "ENV") for pair in shlex.split(rest))


def let_through(paths: list[str]) -> set[str]:
    """Those of the paths that `.dockerignore` shows to Docker: the last pattern that matches decides."""
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]

    def shown(path: str) -> bool:
        answer = True
        for pattern in patterns:
            regex = re.escape(pattern.lstrip("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
            if re.fullmatch(f"{regex}(/.*)?", path):
                answer = pattern.startswith("!")
        return answer

    return {path for path in paths if shown(path)}


def context() -> set[str]:
    """What Docker gets to see of a clean checkout."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    paths = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return let_through([path for path in paths if (ROOT / path).is_file()])


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of nothing but what Docker gets to see."""
    folder = tmp_path_factory.mktemp("context")
    for path in context():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "wheel", "."]
    if any(int(found.version.split(".")[0]) >= 77 for found in importlib.metadata.distributions(name="setuptools")):
        build.append("--no-build-isolation")  # what pyproject.toml wants is here
    subprocess.run(build, cwd=folder, check=True)
    (made,) = (folder / "wheel").iterdir()
    return made


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel in it; what the wheel depends on is lent by ours."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


# The Dockerfile


def test_the_image_made_by_default_is_the_backend() -> None:
    assert list(stages()) == ["build", "frontend", "backend"]


def test_every_file_copied_into_an_image_is_there() -> None:
    seen = context()
    for name in stages():
        for copy in arguments(name, "COPY"):
            if copy.startswith("--from="):
                assert copy.split()[0].removeprefix("--from=") in stages()
                continue
            for source in copy.split()[:-1]:
                found = {str(path.relative_to(ROOT)) for path in ROOT.glob(source)}
                assert found & seen or any(path.startswith(f"{source}/") for path in seen), source


def test_docker_sees_only_what_the_images_are_made_of(wheel: Path) -> None:
    packed = {name.removeprefix("statsd/data/") for name in zipfile.ZipFile(wheel).namelist()}
    assert context() - packed - BUILD_FILES == FRONTEND_FILES
    private = [".env", ".git/config", "data/password", "statsd/__pycache__/app.cpython-311.pyc", "tests/conftest.py"]
    assert let_through(private) == set()


@pytest.mark.parametrize("stage", ["frontend", "backend"])
def test_images_run_as_an_ordinary_user_and_say_how_they_are(stage: str) -> None:
    user = arguments(stage, "USER")[-1]
    assert user not in ("root", "0", "0:0")
    names = [name for name, _ in stages()[stage]]
    assert "HEALTHCHECK" in names
    assert names[-1] in ("CMD", "ENTRYPOINT")
    assert command(stage, names[-1])[0] in ("python", "nginx")  # the exec form: signals reach the program itself


def test_the_backend_stops_by_sigterm_and_keeps_its_data_in_a_volume_of_its_user() -> None:
    assert arguments("backend", "STOPSIGNAL") == ["SIGTERM"]
    (user,) = arguments("backend", "USER")
    (made,) = arguments("backend", "RUN")
    data = environment("backend")["STATS_DATA_DIR"]
    assert arguments("backend", "VOLUME") == [data]
    assert re.search(rf"install --directory --owner {user} --group {user} --mode 0700 {data}$", made)


def test_the_backend_image_has_no_build_tools_and_no_secrets() -> None:
    text = json.dumps(stages()["backend"])
    assert not re.search(r"apt|gcc|\bpip\b", text)
    assert not re.search("password|secret|token", text, re.IGNORECASE)
    known = {name for field in settings.fields().values() for name in field.metadata["names"]}
    told = environment("backend")
    assert known & {*told} == {"HOST", "PORT", "STATS_DATA_DIR"}
    assert (told["HOST"], [told["PORT"]]) == ("0.0.0.0", arguments("backend", "EXPOSE"))


def test_the_page_files_of_the_frontend_are_those_of_the_program() -> None:
    copied = [source for copy in arguments("frontend", "COPY") for source in copy.split()[:-1]]
    assert copied == ["static/nginx.conf", "static/*.html", "static/*.svg", "static/docs", "static/assets"]
    nginx, *page = arguments("frontend", "COPY")
    assert nginx.split()[-1] in command("frontend", "ENTRYPOINT")
    config = (ROOT / "static" / "nginx.conf").read_text()
    (root,) = re.findall(r"^ *root (.+);", config, re.MULTILINE)
    assert all(copy.split()[-1].startswith(f"{root}/") for copy in page)  # and so nginx.conf is not among them
    assert re.findall(r"^ *listen (\d+)", config, re.MULTILINE) == arguments("frontend", "EXPOSE")


# The Dockerfile's backend, by hand


def test_the_requirements_layer_installs_what_the_wheel_depends_on(wheel: Path) -> None:
    (words,) = (shlex.split(run) for run in arguments("build", "RUN") if " -c " in run)
    read = subprocess.run(
        [sys.executable, "-c", words[words.index("-c") + 1]], cwd=ROOT, check=True, capture_output=True, text=True
    )
    with zipfile.ZipFile(wheel) as packed:
        (metadata,) = (name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        depends = email.message_from_bytes(packed.read(metadata)).get_all("Requires-Dist", [])
    assert {Requirement(line) for line in read.stdout.splitlines() if line} == {
        Requirement(line) for line in depends if "extra ==" not in line
    }


def test_the_wheel_holds_the_program_its_sql_and_its_page_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    seen = context() - BUILD_FILES - FRONTEND_FILES
    code = {path for path in seen if path.startswith("statsd/")}
    assert names == code | {f"statsd/data/{path}" for path in seen - code}
    assert {"statsd/data/sample_data.sql", "statsd/data/static/assets/vendor/chart.umd.min.js"} <= names


def test_the_installed_wheel_runs_from_any_folder(python: Path, tmp_path: Path) -> None:
    told = subprocess.run(
        [python, "-m", "statsd", "--version"], cwd=tmp_path, env={}, check=True, capture_output=True, text=True
    )
    assert told.stdout.split()[-1] == __version__
    home = subprocess.run(
        [python, "-c", "import statsd; print(statsd.HOME, end='')"],
        cwd=tmp_path, env={}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert Path(home.stdout).relative_to(python.parent.parent).parts[-3:] == ("site-packages", "statsd", "data")


async def test_the_installed_wheel_serves_its_own_page_and_sql_and_its_probe_tells(
    python: Path, run: Callable[..., Program], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(python))  # which `run` runs
    image = {**environment("backend"), "HOST": "127.0.0.1", "PORT": "0", "STATS_DATA_DIR": str(tmp_path / "volume")}
    del image["PATH"]
    _, module, _, *words = command("backend", "CMD")
    assert module == "-m"
    server = run(*words, **image, PYTHONPATH="")
    address = await server.address()
    async with aiohttp.ClientSession(address) as client:
        for path, file in (("/dashboard", "index.html"), ("/assets/panels/logins.js", "assets/panels/logins.js")):
            async with client.get(path) as response:
                assert await response.read() == (ROOT / "static" / file).read_bytes()
        async with client.post("/logins", json=LOGIN) as response:
            assert response.status == 201
    assert (tmp_path / "volume" / "postgres").is_dir()

    port = address.rpartition(":")[2]
    assert probe(port) == 0
    server.process.terminate()
    assert await server.ended() == 0
    assert probe(port) != 0


def probe(port: str) -> int:
    """Run the image's HEALTHCHECK, in surroundings with a proxy for everything, and return its exit code."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        surroundings = {**os.environ, "PORT": port, "http_proxy": f"http://127.0.0.1:{nobody.getsockname()[1]}"}
        argv = [sys.executable, *command("backend", "HEALTHCHECK")[1:]]
        return subprocess.run(argv, env=surroundings, stderr=subprocess.DEVNULL, check=False).returncode


# docker-compose.yml


def test_nothing_starts_before_what_it_needs_is_healthy(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["backend"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert services["frontend"]["depends_on"] == {"backend": {"condition": "service_healthy"}}
    assert services["db"]["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    for name in ("backend", "frontend"):
        assert services[name]["build"] == {"context": ".", "target": name}
        assert arguments(name, "HEALTHCHECK")


def test_the_database_has_no_default_password_and_is_out_of_reach(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in ("db", "backend"):
        assert re.fullmatch(r"\$\{POSTGRES_PASSWORD:\?[^}]+\}", services[name]["environment"]["POSTGRES_PASSWORD"])
    assert "ports" not in services["db"]
    assert services["db"]["networks"] == ["database"]
    assert compose["networks"]["database"] == {"internal": True}
    assert "database" not in services["frontend"]["networks"]


def test_only_the_frontend_is_published_and_only_on_this_machine(compose: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"frontend": [f"127.0.0.1:${{PORT:-8080}}:{arguments('frontend', 'EXPOSE')[0]}"]}


def test_what_is_kept_is_in_named_volumes(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["db"]["volumes"] == ["postgres:/var/lib/postgresql"]  # where images since 18 have it
    assert services["backend"]["volumes"] == [f"data:{environment('backend')['STATS_DATA_DIR']}"]
    assert {*compose["volumes"]} == {"postgres", "data"}


@pytest.mark.parametrize("name", ["db", "backend", "frontend"])
def test_containers_may_do_nothing_they_need_not(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp", *(["/var/run/postgresql"] if name == "db" else [])]
    assert service["cap_drop"] == ["ALL"]
    assert "privileged" not in service
    assert "cap_add" not in service
    if name == "db":
        assert service["user"] == "postgres"  # as root, its entry point would need capabilities
        assert not {"setpriv", "gosu"} & {*json.dumps(service["command"]).split()}


@pytest.mark.parametrize("name", ["db", "backend", "frontend"])
def test_no_container_can_take_the_whole_machine(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    cpus = re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(service["cpus"]))
    memory = re.sub(r"\$\{\w+:-(.*)\}", r"\1", service["mem_limit"])
    assert cpus == "1"  # more than a machine has would keep the container from starting
    assert re.fullmatch(r"\d+[mg]", memory)
    assert 50 <= service["pids_limit"] <= 200


def test_each_hop_believes_only_the_one_before_it(compose: dict[str, Any]) -> None:
    """The network's gateway, then nginx, then the backend; a neighbour in the network is believed by nobody."""
    (network,) = compose["networks"]["web"]["ipam"]["config"]
    nginx = compose["services"]["frontend"]["networks"]["web"]["ipv4_address"]
    assert compose["services"]["backend"]["environment"]["TRUSTED_PROXIES"] == nginx
    config = (ROOT / "static" / "nginx.conf").read_text()
    assert re.findall(r"set_real_ip_from (.+);", config) == [network["gateway"]]
    assert re.findall(r"^ +(\S+) +1;", config, re.MULTILINE) == [network["gateway"]]
    subnet, backends = IPv4Network(network["subnet"]), IPv4Network(network["ip_range"])
    assert ip_address(nginx) in subnet
    assert ip_address(network["gateway"]) in subnet
    assert backends.subnet_of(subnet)
    assert ip_address(nginx) not in backends


def test_services_come_back_gain_nothing_and_do_not_fill_the_disk(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert service["restart"] == "unless-stopped"
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["logging"] == {"driver": "local", "options": {"max-size": "10m", "max-file": "5"}}


def test_the_backend_has_time_to_stop_and_can_be_many(compose: dict[str, Any]) -> None:
    backend = compose["services"]["backend"]
    assert int(backend["stop_grace_period"].removesuffix("s")) > 10
    assert not {"container_name", "ports", "hostname"} & {*backend}
    config = (ROOT / "static" / "nginx.conf").read_text()
    assert f"set $backend backend:{arguments('backend', 'EXPOSE')[0]};" in config


def test_database_of_compose_gets_the_settings_for_its_machine(compose: dict[str, Any]) -> None:
    assert compose["services"]["db"]["command"] == [
        "postgres",
        *("-c", "shared_buffers=${STATS_PG_SHARED_BUFFERS:-128MB}"),
        *("-c", "max_wal_size=${STATS_PG_MAX_WAL_SIZE:-1GB}"),
    ]


def test_compose_passes_every_setting_on(compose: dict[str, Any]) -> None:
    """But those that the image or the surroundings decide."""
    decided = {"DATABASE_URL", "HOST", "PORT", "STATS_DATA_DIR", "NO_COLOR", "TRUSTED_PROXIES"}
    decided |= {"STATS_PG_SHARED_BUFFERS", "STATS_PG_MAX_WAL_SIZE"}  # of the embedded server; here `db` gets them
    names = {field.metadata["names"][0] for field in settings.fields().values()} - decided
    names |= {presets.setting(sender) for sender in presets.PRESETS}
    passed = compose["services"]["backend"]["environment"]
    assert {name for name, value in passed.items() if value is None} == names
    environ = {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", str(value)) for name, value in passed.items() if value}
    told = settings.load(environ=environ, dotenv_path=Path(""))
    assert re.fullmatch(r"postgresql://statsd:.+@db:5432/statsd", told.database_url or "")


# .ci/pin-images


def pin(folder: Path, answer: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run .ci/pin-images on copies, with a `docker` that answers with the digest in `answer`."""
    docker = folder / "bin" / "docker"
    docker.parent.mkdir(exist_ok=True)
    docker.write_text(f"#!/bin/sh\n{answer}\n")
    docker.chmod(0o755)
    environment = {"PATH": f"{docker.parent}:{os.environ['PATH']}", "PIN_IN": str(folder)}
    return subprocess.run(
        [ROOT / ".ci" / "pin-images", *words], env=environment, capture_output=True, text=True, check=False
    )


def test_images_are_pinned_by_the_digests_of_the_registry(tmp_path: Path) -> None:
    files = ("Dockerfile", "docker-compose.yml")
    for file in files:
        text = (ROOT / file).read_text()
        assert not re.search(r":latest|^FROM nginx:alpine", text, re.MULTILINE)
        (tmp_path / file).write_text(re.sub(r"@sha256:[0-9a-f]{64}", "", text))
    bare = [(tmp_path / file).read_text() for file in files]
    first, second = (f"sha256:{digit * 64}" for digit in "ab")

    away = pin(tmp_path, "exit 1")
    assert (away.returncode, [(tmp_path / file).read_text() for file in files]) == (1, bare)
    checked = pin(tmp_path, f"echo {first}", "--check")
    assert checked.returncode == 1
    images = ["nginx:1.28-alpine", "postgres:18", "python:3.11-slim"]
    assert checked.stdout.splitlines() == [f"{image}: no digest, the registry has {first}" for image in images]
    for digest in (first, second):
        assert pin(tmp_path, f"echo {digest}").returncode == 0
        pinned = [(tmp_path / file).read_text() for file in files]
        assert [text.replace(f"@{digest}", "") for text in pinned] == bare
        assert sum(text.count(f"@{digest}") for text in pinned) == 4  # python is there twice
        assert pin(tmp_path, f"echo {digest}", "--check").returncode == 0
    assert pin(tmp_path, f"echo {first}", "--check").returncode == 1
