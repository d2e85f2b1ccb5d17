"""The parts of the suite, in the order they run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType

from ..run import Run
from . import arrays, broadcast, crowd, freshness, growth, memory, one, queue, reads, start, ways

MODULES: tuple[ModuleType, ...] = (one, queue, ways, arrays, reads, freshness, broadcast, crowd, memory, growth, start)

PARTS: Mapping[str, Callable[[Run], Awaitable[None]]] = {
    module.__name__.rpartition(".")[2]: module.measure for module in MODULES
}

ABOUT: Mapping[str, str] = {
    name: (module.__doc__ or "").partition("\n")[0] for name, module in zip(PARTS, MODULES, strict=True)
}
