"""The parameter `options`: switches of PostgreSQL, of which `-c name=value` makes a setting; and search paths."""

import re
from collections.abc import Iterable, Mapping


def split(options: str) -> tuple[dict[str, str], list[str]]:
    """Return the settings, and the other switches (some hosts have switches of their own, such as `endpoint=…`)."""
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.findall(r"(?:\\.|[^\\\s])+", options)]
    settings: dict[str, str] = {}
    rest: list[str] = []
    while words:
        word = words.pop(0)
        if word == "-c" and words:
            setting = words.pop(0)
        elif word.startswith(("-c", "--")):
            setting = word[2:]
        else:
            rest.append(word)
            continue
        name, equals, value = setting.partition("=")
        if equals:
            settings[name.replace("-", "_").lower()] = value
        else:
            rest.append(word)
    return settings, rest


def join(settings: Mapping[str, str], rest: Iterable[str] = ()) -> str:
    """Return the text of `options` that `split` takes apart."""
    words = [*rest, *(f"--{name}={value}" for name, value in settings.items())]
    return " ".join(re.sub(r"([\\\s])", r"\\\1", word) for word in words)


def identifier(name: str) -> str:
    """Return a name of PostgreSQL in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def names(search_path: str) -> list[str]:
    """Return the schemas of a search path as they are named."""
    found = re.findall(r'"((?:[^"]|"")*)"|([^",\s]+)', search_path)
    return [quoted.replace('""', '"') if quoted else plain.lower() for quoted, plain in found]
