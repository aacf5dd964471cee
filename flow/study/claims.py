"""Who of several workers trains a batch."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flow import claim
from flow.errors import Storage

POLL_S = 0.2  # between two looks at a batch that another worker trains


def batch_name(study: str, batch: int) -> str:
    """The name under which a study's batch is claimed; `batch` is the number of its first trial."""
    return f"{study}.batch-{batch}"


def is_claimed(folder: Path, name: str) -> bool:
    """Whether a living worker, here or on another machine, has claimed `name`."""
    return claim.holder(folder, name) is not None


@contextmanager
def claim_batch(folder: Path, name: str, done: Callable[[], bool] = lambda: False) -> Iterator[bool]:
    """True for the one worker that shall train the batch, false for those that find it done.

    Waits while another worker holds the claim; one that has died loses it (at once where it ran on this machine,
    elsewhere when it was silent for `claim.LOST_S`). `done` says whether the batch's result is there; it is asked again
    after the claim was won, so that what another worker has just finished is not done twice. A claim saves doing things
    twice, it does not make that impossible: results have to be written so that the same ones may be written again.

    Raises Storage where the claim can't be written.
    """
    while not done():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            mine = claim.take(folder, name)
        except OSError as error:
            raise Storage(f"{folder}: the claim on a batch can't be written there ({error.strerror})") from None
        if mine is None:
            time.sleep(POLL_S)
            continue
        with mine:
            if done():
                break
            yield True
            return
    yield False
