"""Processes that search together: they share a folder and a storage, and may be killed at any moment."""

import json
import multiprocessing
import random
import time
from pathlib import Path

from study.examples import SIZE, place, study, trials

from flow.store import write_json
from flow.study import Place, claim_batch

FORK = multiprocessing.get_context("fork")


def work(folder: Path, at: Place, name: str, batches: int, train_s: float, sync: bool = True) -> None:
    """Train `batches` batches, each unless another worker does, and keep the study up to date."""
    mine = study(at, folder, name=name)
    for batch in range(batches):
        first, result = batch * SIZE, folder / f"batch-{batch}.json"
        with claim_batch(mine.claims, mine.batch_name(first), result.exists) as ours:
            if sync:
                mine.sync(trials(first, SIZE))
            if ours:
                time.sleep(train_s)
                with (folder / "log").open("a") as log:
                    log.write(f"{batch}\n")
                write_json(result, {"batch": batch})
        if sync:
            mine.sync(trials(first + SIZE))


def start(*arguments) -> multiprocessing.Process:
    process = FORK.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def killed_and_started_again(
    folder: Path, at: Place, name: str, workers: int, batches: int, kills: int, pause_s: float
) -> None:
    """Run workers to their end, `kills` of them killed on the way and replaced by others."""
    rng = random.Random(0)
    running = [start(folder, at, name, batches, 0.02) for _ in range(workers)]
    try:
        for _ in range(kills):
            time.sleep(rng.uniform(0.0, pause_s))
            victim = running.pop(rng.randrange(len(running)))
            victim.kill()
            victim.join()
            running.append(start(folder, at, name, batches, 0.02))
        for process in running:
            process.join(120)
            assert process.exitcode == 0
    finally:
        for process in running:
            process.kill()
            process.join()
    trained = [int(line) for line in (folder / "log").read_text().split()]
    assert set(trained) == set(range(batches))
    for batch in range(batches):
        assert json.loads((folder / f"batch-{batch}.json").read_text()) == {"batch": batch}


def together(
    folder: Path,
    text: str,
    name: str = "jets",
    workers: int = 3,
    batches: int = 4,
    kills: int = 5,
    pause_s: float = 0.4,
):
    """The study that workers made together; one of them is killed every `pause_s` at most."""
    at = place(folder, text)
    import optuna  # noqa: F401 - once here, instead of in every worker

    killed_and_started_again(folder, at, name, workers, batches, kills, pause_s)
    return study(at, folder, name=name)


def bring(folder: Path, at: Place, name: str, start, counts: tuple[int, ...]) -> None:
    mine = study(at, folder, name=name)
    for count in counts:
        start.wait(300)
        assert mine.sync(trials(count)) == ""


def at_once(folder: Path, text: str, name: str = "jets", workers: int = 4, counts: tuple[int, ...] = (4, 12, 24)):
    """The study after workers, none of which claims a batch, have added what is missing at the same moments."""
    import optuna  # noqa: F401

    at, barrier = place(folder, text), FORK.Barrier(workers)
    arguments = (folder, at, name, barrier, counts)
    running = [FORK.Process(target=bring, args=arguments, daemon=True) for _ in range(workers)]
    for process in running:
        process.start()
    for process in running:
        process.join(120)
        assert process.exitcode == 0
    return study(at, folder, name=name)
