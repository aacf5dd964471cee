"""One method of the training benchmark in a process of its own, so that time and memory are its own.

`python one.py METHOD NETWORK DATA SETTINGS OUT`: METHOD is "float", "qkeras", "population" or "products"; SETTINGS and OUT
are JSON files.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from problem import BATCH, LEARNING_RATE, Problem, costs

from flow.design import Design
from flow.train import backend
from flow.train.designs import MONITORED
from flow.train.evaluate import OperatingPoint, Truth, resampled


def main() -> None:
    method, network, data, settings, out = sys.argv[1:]
    problem, chosen = Problem.load(network, Path(data)), json.loads(Path(settings).read_text())
    backend.start()
    from flow.train import population, qkeras_model  # noqa: F401 (imported before the clock starts)

    result = METHODS[method](problem, chosen, Path(out))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Path(out).write_text(json.dumps(result | {"peak_memory_mb": peak}))


def train_float(problem: Problem, settings: dict, out: Path) -> dict:
    """The float network that all designs start from; its parameters go to OUT.npz."""
    found, _ = _population(problem, [None], None, settings)
    np.savez(out.with_suffix(".npz"), **found[0].parameters)
    return {"accuracy": _accuracies(problem, [None], found)[0]}


def train_population(problem: Problem, settings: dict, out: Path) -> dict:
    """Designs together, building and compiling included."""
    designs, start = _designs(settings), _start(settings)
    begun = time.perf_counter()
    found, marks = _population(problem, designs, start, settings)
    seconds = time.perf_counter() - begun
    accuracies = _accuracies(problem, designs, found)
    return {
        "designs": len(designs),
        "seconds": seconds,
        "epoch_seconds": min(np.diff(marks), default=seconds) / len(designs),
        "accuracies": accuracies,
        "ebops": costs(problem, designs),
        "epochs": [len(item.losses) for item in found],
    }


def qkeras(problem: Problem, settings: dict, out: Path) -> dict:
    """QKeras models built, compiled and fitted one by one, from the same weights with the same schedule."""
    import keras

    from flow.train import qkeras_model
    from flow.train.parameters import deployed

    weights = deployed(problem.topology, _start(settings))
    batch, epochs = BATCH[problem.name], settings["epochs"]
    steps = len(problem.x_train) // batch * epochs
    accuracies, epoch_seconds, designs = [], [], _designs(settings)
    begun = time.perf_counter()
    for design in designs:
        keras.backend.clear_session()
        model = qkeras_model.build(problem.topology, design, problem.scaling, weights)
        rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE[problem.name], steps)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss)
        clock = _Clock()
        model.fit(
            problem.x_train, problem.y_train, batch_size=batch, epochs=epochs, verbose=0, callbacks=[clock.callback()]
        )
        epoch_seconds.append(min(np.diff(clock.marks), default=float("nan")))
        out_ = model.predict(problem.x_val, batch_size=4096, verbose=0)
        accuracies.append(float(np.mean(np.argmax(out_, axis=1) == problem.y_val)))
    return {
        "designs": len(designs),
        "seconds": time.perf_counter() - begun,
        "epoch_seconds": float(np.min(epoch_seconds)),
        "accuracies": accuracies,
        "ebops": costs(problem, designs),
    }


def products(problem: Problem, settings: dict, out: Path) -> dict:
    """The products of layers and of both their gradients alone, in groups as training has them: what is left of an
    epoch when all else is free."""
    from concurrent.futures import ThreadPoolExecutor

    import tensorflow as tf

    from flow.topology import Dense
    from flow.train import memory

    rng, batch, group = np.random.default_rng(0), BATCH[problem.name], memory.GROUP
    shapes = []  # (events or positions, terms, sums) of each product
    for layer in problem.topology.weighted:
        positions = 1 if isinstance(layer, Dense) else int(np.prod(layer.shape[:-1]))
        shapes.append((batch * positions, layer.terms, layer.shape[-1]))

    def tensor(*shape: int):
        return tf.constant(rng.normal(size=(group, *shape)), tf.float32)

    kernels = [tensor(n, m) for _, n, m in shapes]
    values, sums = [tensor(rows, n) for rows, n, _ in shapes], [tensor(rows, m) for rows, _, m in shapes]
    steps = len(problem.y_train) // batch

    @tf.function(jit_compile=True)
    def epoch(values, sums, kernels):
        def body(k, values, sums, kernels):  # every result goes on, or it would not be computed
            gradients = [tf.matmul(v, s, transpose_a=True) for v, s in zip(values, sums)]
            forth = [tf.matmul(v, kernel) for v, kernel in zip(values, kernels)]
            back = [tf.matmul(s, kernel, transpose_b=True) for s, kernel in zip(sums[1:], kernels[1:])]
            return k + 1, values[:1] + back, forth, [kernel + g for kernel, g in zip(kernels, gradients)]

        return tf.while_loop(lambda k, *_: k < steps, body, (0, values, sums, kernels))[3]

    workers = memory.workers(problem.topology, group, batch)
    with ThreadPoolExecutor(workers) as pool:
        times = []
        for _ in range(4):
            begun = time.perf_counter()
            list(pool.map(lambda _: epoch(values, sums, kernels)[0].numpy(), range(workers)))
            times.append(time.perf_counter() - begun)
    return {"epoch_seconds": min(times) / group / workers}


class _Clock:
    """The moments at which epochs ended."""

    def __init__(self):
        self.marks: list[float] = []

    def callback(self):
        import keras

        return keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: self.marks.append(time.perf_counter()))


def _population(problem: Problem, designs, start, settings: dict):
    from flow.train.events import Events
    from flow.train.inference import PIECE
    from flow.train.population import Member, Monitor, train
    from flow.train.schedule import Halving, Schedule

    halving = Halving(settings["halving"]) if settings.get("halving") else None
    schedule = Schedule(
        settings["epochs"], BATCH[problem.name], LEARNING_RATE[problem.name], settings.get("seed", 1), halving=halving
    )

    few = problem.x_val[:MONITORED]
    truth = Truth.of(problem.y_val[:MONITORED], np.arange(len(few)))
    truths = {n: Truth(truth.labels[:n], truth.weights[:, :n]) for n in (min(PIECE, len(few)), len(few))}

    def accuracy(out: np.ndarray) -> tuple[float, np.ndarray]:
        return resampled("accuracy", out, truths[len(out)], OperatingPoint((), (), 0.0))

    marks: list[float] = []
    members = [Member(d, start, i, cost=c) for i, (d, c) in enumerate(zip(designs, _costs(problem, designs)))]
    found = train(
        problem.topology,
        members,
        Events(problem.x_train, problem.y_train),
        schedule,
        Monitor(few, accuracy) if halving else None,
        progress=lambda done, total: marks.append(time.perf_counter()),
    )
    return found, marks


def _costs(problem: Problem, designs) -> list[float]:
    return [0.0] * len(designs) if designs[0] is None else costs(problem, designs)


def _accuracies(problem: Problem, designs, found) -> list[float]:
    from flow.train.inference import logits
    from flow.train.parameters import deployed

    weights = [deployed(problem.topology, item.parameters) for item in found]
    outs = logits(problem.topology, designs, weights, problem.x_val)
    return [float(np.mean(np.argmax(out, axis=1) == problem.y_val)) for out in outs]


def _designs(settings: dict) -> list[Design]:
    return [Design.from_json(row) for row in settings["designs"]]


def _start(settings: dict) -> dict:
    with np.load(settings["start"], allow_pickle=False) as stored:
        return dict(stored)


METHODS = {"float": train_float, "population": train_population, "qkeras": qkeras, "products": products}

if __name__ == "__main__":
    main()
