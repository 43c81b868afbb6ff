"""What a process does when it is told to end: finish what is whole, and tidy up."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["ending", "stoppable"]

ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def ending() -> Iterator[None]:
    """SIGTERM, and SIGHUP of a closed terminal, end the process as exceptions do: tidily."""

    def end(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    with _handled(ENDS, end):
        yield


@contextmanager
def stoppable() -> Iterator[tuple[threading.Event, list[int]]]:
    """An event that Ctrl-C, SIGTERM and SIGHUP set instead of ending the process, and those met."""
    stop, caught = threading.Event(), []

    def note(number: int, _: Any) -> None:
        caught.append(number)
        stop.set()

    with _handled([signal.SIGINT, *ENDS], note):
        yield stop, caught


@contextmanager
def _handled(signals: list[int], handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Leave alone what the process was told to ignore, as by nohup."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {n: signal.getsignal(n) for n in signals if signal.getsignal(n) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)
