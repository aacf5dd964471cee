"""HGQ2: one training run of --epochs epochs in which beta, the price of an EBOP, rises; its front is the result.

Runs in the environment `hgq2`, on JAX and the CPU. To spend what N designs of E epochs spend, give at most
E * N epochs. Of the run's front at most --designs points are kept, evenly spread in the logarithm of EBOPs.

With --keep the fronts of earlier moments are kept too, each point with its network and the time when it was there.
"""

import os
import tempfile
import time
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import keras
import numpy as np
from hgq.config import QuantizerConfig, QuantizerConfigScope
from hgq.layers import QConv2D, QDense, QMaxPooling2D
from hgq.utils import trace_minmax
from hgq.utils.sugar import BetaScheduler, Dataset, FreeEBOPs, ParetoFront, PieceWiseSchedule
from keras import ops
from record import INPUTS, Data, Kept, Layer, Options, Wrapped, front, load, versions, write

LEARNING_RATE = 5e-3  # of HGQ2's example for this jet tagger, as are rounding, overflow and kinds of quantizers
BETAS = {"dense": (1e-7, 1e-4), "cnn": (1e-7, 1e-3)}  # first and last
STEADY = 0.1  # the share of the epochs that trains at the first beta
TRACE_BATCH = 16384
MOMENTS = 12  # fronts on the way that are kept, evenly spread in the logarithm of time
PACKAGES = ("hgq2", "jax", "keras", "numpy", "quantizers")


class TimedFront(ParetoFront):
    """HGQ2's front, which remembers every point that was ever on it: when, its figures, and its weights."""

    def __init__(self, *arguments, start: float):
        super().__init__(*arguments)
        self.start, self.seen = start, []  # (seconds, accuracy, EBOPs, file)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        path = self.path / self.fname_format.format(epoch=epoch)
        if path in self.paths:
            once = path.with_name(f"seen-{path.name}")
            os.link(path, once)  # the front removes its own
            self.seen.append((time.perf_counter() - self.start, *map(float, self.record[-1]), once))


def quantized_model(network: str) -> keras.Model:
    """The network with trainable widths for every weight and every value, wide at the start; logits are exact."""
    form = INPUTS[network]
    first = QuantizerConfig(place="datalane", k0=form.signed, i0=form.integer, f0=form.fraction)
    weights = QuantizerConfigScope(place="all", default_q_type="kbi", k0=1, b0=5, i0=0, overflow_mode="sat_sym")
    values = QuantizerConfigScope(place="datalane", default_q_type="kif", k0=0, i0=3, f0=4, overflow_mode="wrap")
    with weights, values:
        if network == "dense":
            layers = [QDense(64, activation="relu", iq_conf=first, name="fc0")]
            layers += [QDense(32, activation="relu", name=name) for name in ("fc1", "fc2")]
            layers += [QDense(5, name="fc3")]
        else:
            layers = [
                QConv2D(4, 3, activation="relu", iq_conf=first, name="conv0"),
                QMaxPooling2D(2, name="pool"),
                QConv2D(8, 3, activation="relu", name="conv1"),
                keras.layers.Flatten(name="flatten"),
                QDense(10, name="fc0"),
            ]
        return keras.Sequential([keras.layers.Input(form.shape), *layers])


def train(model: keras.Model, options: Options, data: Data, folder: Path, start: float = 0.0) -> TimedFront:
    """Trains the model; returns the front of validation accuracy and EBOPs, with a file of weights for each point."""
    keep = TimedFront(folder, ["val_accuracy", "ebops"], [1, -1], "epoch={epoch}.weights.h5", start=start)
    first, last = BETAS[options.network]
    beta = PieceWiseSchedule(
        [(0, first, "constant"), (int(STEADY * options.epochs), first, "log"), (options.epochs, last, "constant")]
    )
    order = np.random.default_rng(options.seed).permutation(len(data.x_train))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(LEARNING_RATE), loss, metrics=["accuracy"], jit_compile=True)
    model.fit(
        Dataset(
            data.x_train[order],
            data.y_train[order],
            batch_size=options.batch,
            drop_last=len(order) > options.batch,  # one batch shape is one compilation
            shuffle=True,
        ),
        validation_data=Dataset(data.x_val, data.y_val, batch_size=min(len(data.x_val), TRACE_BATCH)),
        epochs=options.epochs,
        verbose=0,
        callbacks=[BetaScheduler(beta), FreeEBOPs(), keep, keras.callbacks.TerminateOnNaN()],
    )
    return keep


def spread(record: list[np.ndarray], paths: list[Path], n: int) -> list[Path]:
    """At most n of the front's files, evenly spread in the logarithm of their EBOPs."""
    cost = np.log2(np.maximum([ebops for _, ebops in record], 1))
    wanted = np.linspace(cost.max(), cost.min(), n)
    nearest = {int(np.argmin(np.abs(cost - value))) for value in wanted}
    return [paths[index] for index in sorted(nearest)]


def chosen(seen: list[tuple], n: int) -> list[tuple]:
    """Of all points, those of the fronts at some moments, at most n each, evenly spread in the logarithm of EBOPs."""
    found: dict[Path, tuple] = {}
    first, last = seen[0][0], seen[-1][0]
    for moment in np.geomspace(max(first, last / 64), last, MOMENTS):
        rows = [row for row in seen if row[0] <= moment * 1.0001]
        best = [row for row in rows if not any(o[1] >= row[1] and o[2] <= row[2] and o[1:3] != row[1:3] for o in rows)]
        kept = spread([np.array(row[1:3]) for row in best], [row[3] for row in best], n)
        found |= {row[3]: row for row in best if row[3] in kept}
    return sorted(found.values())


def layers_of(model: keras.Model) -> list[Layer]:
    """The deployed network, dense layers only; ranges have to be traced before."""
    found = []
    for index, layer in enumerate(layer for layer in model.layers if isinstance(layer, QDense)):
        before = layer.iq.quantizer
        shape = (1, *layer.input.shape[1:])
        kif = [np.asarray(before.bw_mapper.bw_to_x(row, shape))[0].astype(int).tolist() for row in before.kif]
        if before.overflow_mode != "WRAP" or before.round_mode not in ("RND", "TRN"):
            raise SystemExit(f"{layer.name}: {before.overflow_mode} and {before.round_mode} are not followed")
        quantizer = Wrapped(*kif, before.round_mode, relu=index > 0)
        found.append(Layer(np.asarray(layer.qkernel), np.asarray(layer.qbias), quantizer))
    return found


def keep(options: Options, model: keras.Model, seen: list[tuple], data: Data) -> None:
    """The points of the fronts over time, each measured with its traced ranges, with its network."""
    kept = Kept(options.keep)
    for seconds, _, ebops_hgq, path in chosen(seen, options.designs):
        row = point(model, path, data)
        kept.add(seconds, row.pop("accuracy"), layers_of(model), **row, ebops_on_the_way=ebops_hgq)
    kept.close(method="HGQ2", seed=options.seed, epochs=options.epochs, versions=versions(PACKAGES))


def point(model: keras.Model, weights: Path, data: Data) -> dict:
    """Accuracy, EBOPs and mean kernel bits of a point, with integer bits from the training data's ranges.

    `ebops` counts multiplications and sign bits, as for the other methods; `ebops_hgq` is HGQ2's own figure, which
    leaves signs out and adds biases and pooling.
    """
    model.load_weights(weights)
    own = trace_minmax(model, data.x_train, batch_size=TRACE_BATCH)
    _, accuracy = model.evaluate(data.x_val, data.y_val, batch_size=min(len(data.x_val), TRACE_BATCH), verbose=0)
    layers = [layer for layer in model.layers if isinstance(layer, (QDense, QConv2D))]
    kernels = [np.asarray(_widths(layer.kq, layer.kernel.shape)) for layer in layers]
    return {
        "accuracy": float(accuracy),
        "ebops": float(sum(_ebops(layer) for layer in layers)),
        "bits": float(sum(bits.sum() for bits in kernels) / sum(bits.size for bits in kernels)),
        "ebops_hgq": float(own),
    }


def _ebops(layer) -> float:
    """Sum over the layer's multiplications of weight bits times data bits (arXiv 2405.00645, eq. 5)."""
    data, kernel = _widths(layer.iq, (1, *layer.input.shape[1:])), _widths(layer.kq, layer.kernel.shape)
    product = layer.convolution_op(data, kernel) if isinstance(layer, QConv2D) else ops.matmul(data, kernel)
    return float(ops.sum(product))


def _widths(quantizer, shape: tuple[int, ...]):
    """Bits by element with the sign, which HGQ2's `bits` leaves out; 0 where nothing is left."""
    inner = quantizer.quantizer
    return inner.bw_mapper.bw_to_x(inner.bits + inner.k * ops.cast(inner.bits > 0, inner.dtype), shape)


def main() -> None:
    options = Options.parse(__doc__)
    data = load(options.data, options.network)
    keras.utils.set_random_seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        model = quantized_model(options.network)
        kept = train(model, options, data, Path(folder), start)
        if options.keep:
            keep(options, model, kept.seen, data)
            return
        points = [point(model, path, data) for path in spread(kept.record, kept.paths, options.designs)]
        seconds = time.perf_counter() - start
    write(options, "HGQ2", len(front(points)), seconds, points, PACKAGES)


if __name__ == "__main__":
    main()
