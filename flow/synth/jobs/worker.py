"""What a worker does around each function that it is given, so that it can be ended by name."""

import asyncio
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from flow import process

_running: dict[str, int] = {}  # name of a call -> thread that it runs in
_guard = threading.Lock()


def call(name: str, function: Callable[..., Any], arguments: tuple) -> Any:
    """The function's result; raises process.Stopped where `end` has ended its program."""
    thread = threading.get_ident()
    with _guard:
        _running[name] = thread
    try:
        return function(*arguments)
    finally:
        with _guard:
            del _running[name]
            process.reopen(thread)


def end(names: Collection[str]) -> bool:
    """End the programs of these calls, and let them start no others; whether all of them have returned."""
    with _guard:
        found = [_running[name] for name in names if name in _running]
        for thread in found:
            process.end_thread(thread)
    return not found


def end_and_wait(names: Collection[str], patience_s: float) -> bool:
    """As `end`, given some time for them to return."""
    last = time.monotonic() + patience_s
    while not (ended := end(names)) and time.monotonic() < last:
        time.sleep(0.02)
    return ended


async def end_soon(names: Collection[str], patience_s: float) -> bool:
    """As `end_and_wait`, for the event loop of a worker."""
    return await asyncio.to_thread(end_and_wait, names, patience_s)
