"""What newcomers type: help, wrong words and what they are told, and the name of the program in every hint."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from folders import ROOT

from statsd.commands.main import COMMANDS, command_parser, module_of, parse
from statsd.errors import SettingsError, StatsError
from statsd.settings import Settings, load

Capture = pytest.CaptureFixture[str]


def refused(capsys: Capture, *words: str) -> str:
    """What the words are told on stderr, with exit code 2."""
    with pytest.raises(SystemExit) as end:
        parse([*words])
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (2, "")
    return said.err


def shown(capsys: Capture, *words: str) -> str:
    """What the words print on stdout, with exit code 0."""
    with pytest.raises(SystemExit) as end:
        parse([*words])
    assert not end.value.code
    return capsys.readouterr().out


def typed() -> Iterator[tuple[str, argparse.Action]]:
    """Every argument of every command that not every text fits."""
    for name in COMMANDS:
        for action in command_parser(name)._actions:
            if action.choices or action.type not in (None, Path):
                yield name, action


def needed(name: str, but: argparse.Action) -> list[str]:
    """Right words for the arguments that a command cannot do without."""
    words: list[str] = []
    for action in command_parser(name)._actions:
        value = str(next(iter(action.choices))) if action.choices else "7"
        if action.dest == but.dest:
            words += [] if action.option_strings else ["nonsense"]
        elif action.required or not (action.option_strings or "nonsense" in words):
            words += [*action.option_strings[-1:], value]
    return words


@pytest.mark.parametrize(
    ("name", "action"), [pytest.param(name, action, id=f"{name} {action.dest}") for name, action in typed()]
)
def test_wrong_value_is_told_by_its_name_and_no_function_is(
    capsys: Capture, name: str, action: argparse.Action
) -> None:
    option = action.option_strings[-1:]
    said = refused(capsys, name, *needed(name, action), *option, *["nonsense"] * len(option))
    usage, fault = said.split("statsd: ", 1)
    assert usage.startswith(f"usage: python -m statsd {name}")
    assert fault.startswith(f"{option[0] if option else action.dest.upper()}: must be ")
    assert '(got "nonsense")' in fault
    assert not re.search(r"\b_\w+|invalid|\.<locals>", fault)
    assert all(str(choice) in fault for choice in action.choices or ())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["serv"], "there is no command serv; did you mean serve?"),
        (["help", "generat"], "there is no command generat; did you mean generate?"),
        (["zzz"], "there is no command zzz"),
        (["version"], "there is no command version; did you mean --version?"),
        (["psql", "-c", "select 1"], "[-- ARG ...]\nstatsd: there is no option -c"),
        (["--port", "80", "serve"], "options stand after the command: python -m statsd serve --port 80"),
        (["-x"], "there is no option -x"),
        (["serve", "--prot", "80"], "there is no option --prot; did you mean --port?"),
        (["serve", "--prot=80", "--hots", "x"], "there is no option --hots; did you mean --host?"),
        (["serve", "-port", "80"], "there is no option -port; did you mean --port?"),
        (["serve", "--rate", "5"], "there is no option --rate; it belongs to generate"),
        (["generate", "-p", "80"], "there is no option -p; it belongs to serve"),
        (["serve", "8080"], 'unexpected argument "8080"'),
        (["serve", "--port"], "--port: expected one argument"),
        (["export"], "STREAM is missing: logins, webhooks"),
        (["export", "login"], "did you mean logins?"),
        (["user", "lst"], "did you mean list?"),
        (["restore"], "FILE is missing: what backup wrote"),
        (["erase", "--dry-run"], "--user is missing: id of the person"),
        (["doctor", "--days", "-1"], '--days: must be a whole number from 0 to 36500 (got "-1")'),
    ],
)
def test_wrong_word_is_told_with_what_is_right(capsys: Capture, words: list[str], says: str) -> None:
    said = refused(capsys, *words)
    assert says in said
    named = words[0] if words[0] in COMMANDS else "COMMAND"
    assert said.startswith(f"usage: python -m statsd {named} ")


@pytest.mark.parametrize("name", ["features", "dead-letters"])
def test_what_only_some_actions_need_is_not_missing(capsys: Capture, name: str) -> None:
    assert [line.split(":")[1] for line in refused(capsys, name).splitlines() if "missing" in line] == [
        " ACTION is missing"
    ]


def test_all_that_is_wrong_is_told_at_once(capsys: Capture) -> None:
    said = refused(capsys, "export", "login", "a.csv", "b.csv", "--format", "xml", "--from", "yesterday")
    assert [line.split(": ")[1] for line in said.splitlines() if line.startswith("statsd: ")] == [
        "--format", "--from", "STREAM", 'unexpected argument "b.csv"',
    ]  # fmt: skip


def test_no_word_shows_the_help_with_every_command(capsys: Capture) -> None:
    text = shown(capsys)
    assert text == shown(capsys, "--help") == shown(capsys, "help") == shown(capsys, "-h")
    assert all(re.search(rf"^  {name} +\w", text, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_eighty_columns_and_says_each_default_once(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = shown(capsys, *([name] if name else []), "--help")
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"default[^()]*default", text.replace("\n", " "))
    assert "%(" not in text
    if name:
        assert text == shown(capsys, "help", name)


def test_short_options_are_the_same_everywhere(capsys: Capture) -> None:
    arguments = parse(["serve", "-p", "81", "-H", "localhost", "-d", "elsewhere"])
    assert (arguments.port, arguments.host, arguments.data_dir) == ("81", "localhost", "elsewhere")
    for name in COMMANDS:
        options = {
            options[-1]: options for action in command_parser(name)._actions if (options := action.option_strings)
        }
        assert options["--data-dir"] == ["-d", "--data-dir"]
        assert options.get("--port", ["-p", "--port"]) == ["-p", "--port"]
        assert options.get("--host", ["-H", "--host"]) == ["-H", "--host"]
        assert shown(capsys, name, "-V").startswith("statsd-live ")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["dead-letters", "drop"], 2, "dead-letters drop needs ids of events, or: all"),
        (["dead-letters", "retry"], 2, "dead-letters retry needs ids of events, or: all"),
        (["dead-letters", "list", "7"], 2, "dead-letters list takes no ids"),
        (["dead-letters", "drop", "7", "all"], 1, "there is no dead letter 7: nothing was done"),
        (["dead-letters", "retry", "7"], 1, "there is no dead letter 7: nothing was done"),
        (["features", "drop"], 2, "features drop needs names of features"),
        (["features", "drop", "x"], 1, "there is no feature x"),
        (["features", "list", "x"], 2, "features list takes no names"),
        (["token", "revoke"], 2, "token revoke needs the name of the token"),
        (["token", "revoke", "x"], 1, "no token named x"),
        (["token", "list", "x"], 2, "token list takes no name"),
        (["link", "revoke"], 2, "link revoke needs the name of the link"),
        (["link", "revoke", "x"], 1, "no share link named x"),
        (["link", "add", "login"], 2, "did you mean logins?"),
        (["user", "remove"], 2, "user remove needs a name"),
        (["user", "remove", "x"], 1, "there is no user x"),
        (["user", "list", "x"], 2, "user list takes no name"),
        (["user", "remove", "x", "admin"], 2, "user remove takes no role"),
        (["erase", "--user", "x", "--stream", "logins"], 1, "x is no id that rows of logins can have"),
        (["import", "pageviews", "x", "--site", "y"], 2, "--site is for --source"),
    ],
)
async def test_missing_argument_is_2_and_unknown_thing_is_1(
    database_url: str, folder: Path, words: list[str], code: int, says: str
) -> None:
    with pytest.raises(StatsError) as error:
        await module_of(words[0]).run(parse([*words]), Settings(database_url=database_url, data_dir=folder))
    assert error.value.exit_code == code
    assert says in str(error.value)


def test_every_wrong_setting_is_told_at_once_with_3(folder: Path) -> None:
    (folder / ".env").write_text("STATS_LANES=many\n")
    ended = statsd(folder, "serve", "-p", "x", "-d", "", "-H", "a b", LOG_LEVEL="loud")
    assert ended.returncode == 3
    faults = [line.split(":")[1].strip() for line in ended.stderr.splitlines()]
    assert sorted(faults) == ["--data-dir", "--host", "--port", "LOG_LEVEL", "STATS_LANES"]


def test_host_has_no_port_and_may_stand_in_brackets() -> None:
    assert load({"host": "[::1]"}, {}).host == load({"host": "::1"}, {}).host == "::1"
    for wrong in ("127.0.0.1:80", "localhost:80", "[::1]:80", "[]"):
        with pytest.raises(SettingsError, match="--host: must be a host"):
            load({"host": wrong}, {})


def test_settings_file_that_is_no_text_is_told_with_3(folder: Path) -> None:
    (folder / ".env").write_bytes(b"\xff\xfe=1\n")
    ended = statsd(folder, "sql", "logins")
    assert (ended.returncode, "Traceback" in ended.stderr) == (3, False)
    assert ended.stderr.startswith("statsd: .env cannot be read as a text in UTF-8")


@pytest.mark.parametrize("name", ["statsd-live", "python -m statsd"])
def test_usage_and_hints_show_the_program_as_it_was_started(folder: Path, name: str) -> None:
    argv0 = "/somewhere/bin/statsd-live" if name == "statsd-live" else "/somewhere/statsd/__main__.py"
    for words, code in ((["--help"], 0), (["database-url", "--help"], 0), (["serv"], 2), (["database-url"], 4)):
        start = f"import sys; sys.argv = {[argv0, *words]}; from statsd.__main__ import run; sys.exit(run())"
        ended = subprocess.run(
            [sys.executable, "-c", start], cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        said = ended.stdout + ended.stderr
        assert ended.returncode == code, said
        assert name in said
        assert ({"statsd-live", "python -m statsd"} - {name}).pop() not in said.replace("Statsd-live", "")


def statsd(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder of its own, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "statsd", *words], cwd=folder, env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
