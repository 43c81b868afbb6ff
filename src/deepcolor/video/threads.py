"""Stages of a film side by side: each iterates in a thread of its own, a few items ahead."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

__all__ = ["ahead", "mapped"]

In = TypeVar("In")
Out = TypeVar("Out")
POLL = 0.1  # seconds until a thread that waits sees that it was told to stop


class _End:
    """After the last item; with what went wrong, if anything did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(source: Iterable[Out], depth: int) -> Generator[Out, None, None]:
    """The same items, made by a thread that runs up to `depth` items ahead.

    What `source` raises is raised here, after the items before. Closing this generator, as an
    exception or Ctrl-C in its user does, stops the thread, closes `source` if it can be closed, and
    waits for both. The thread starts with the first item that is asked for.
    """
    items: queue.Queue[Any] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: Any) -> bool:
        while not stop.is_set():
            try:
                items.put(item, timeout=POLL)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        end = _End()
        try:
            for item in source:
                if not put(item):
                    break
        except BaseException as error:  # it is the reader's, whatever it is
            end = _End(error)
        finally:
            close = getattr(source, "close", None)
            if isinstance(source, Generator) and close is not None:
                close()
            put(end)

    thread = threading.Thread(target=work, name="deepcolor-film", daemon=True)
    thread.start()
    try:
        while True:
            item = items.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stop.set()
        thread.join()


def mapped(
    source: Iterable[In], work: Callable[[In], Out], pool: ThreadPoolExecutor, depth: int
) -> Generator[Out, None, None]:
    """What `work` makes of each item, in order, several at once.

    Args:
        source: iterated in a thread of its own.
        work: called in the pool's threads; must not wait for the pool itself.
        pool: shared with other stages.
        depth: items begun and not yet taken, at most, but for one.
    """

    def begun() -> Generator["Future[Out]", None, None]:
        try:
            for item in source:
                yield pool.submit(work, item)
        finally:
            if isinstance(source, Generator):
                source.close()

    with closing(ahead(begun(), depth)) as futures:
        for future in futures:
            yield future.result()
