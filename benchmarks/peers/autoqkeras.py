"""AutoQKeras: a Bayesian search of quantizers with its energy goal, one Keras fit a trial.

Runs in the environment `autoqkeras`. --designs trials of --epochs epochs each; none ends early, so that all
methods spend the same. Kernels, biases and activations choose from QKeras's own lists, from 2 to 8 bits.

With --keep the search is AutoQKeras's own: trials stop as its early stopping says, and its whole lists up to 8 bits are
there, but for the scale of a binary activation that is taken from the batch, which no firmware has.
"""

import contextlib
import os
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import qkeras
import tensorflow as tf
from qkeras.autoqkeras import AutoQKeras
from qkeras.autoqkeras.quantization_config import default_quantization_config
from record import INPUTS, Kept, Layer, Named, Options, Steps, load, versions, write
from tensorflow.keras import layers

LEARNING_RATE = 3e-3
QUANTIZERS = {
    place: {name: bits for name, bits in choices.items() if 2 <= bits <= 8}
    for place, choices in default_quantization_config.items()
}
BATCH_SCALED = "binary(alpha='auto_po2')"  # as an activation: its scale is that of the batch
ALL_QUANTIZERS = {
    place: {name: bits for name, bits in choices.items() if (place, name) != ("activation", BATCH_SCALED)}
    for place, choices in default_quantization_config.items()
}
PACKAGES = ("qkeras", "tensorflow", "keras-tuner", "numpy")
LIMITS = {"Dense": [8, 8, 8], "Conv2D": [8, 8, 8], "Activation": [8]}  # bits of kernel, bias, activation
ENERGY = {  # that of AutoQKeras's tutorial: weights and activations in on-chip memory, an int8 network as reference
    "delta_p": 8.0,
    "delta_n": 8.0,
    "rate": 2.0,
    "stress": 1.0,
    "process": "horowitz",
    "parameters_on_memory": ["sram", "sram"],
    "activations_on_memory": ["sram", "sram"],
    "rd_wr_on_io": [False, False],
    "min_sram_size": [0, 0],
    "reference_internal": "int8",
    "reference_accumulator": "int32",
}


def float_model(network: str) -> tf.keras.Model:
    """The network before its quantization, compiled; its input is on the grid already."""
    form = INPUTS[network]
    x = inputs = layers.Input(form.shape, name="words")
    x = qkeras.QActivation(_input_quantizer(network), name="input_grid")(x)
    if network == "dense":
        for index, units in enumerate((64, 32, 32)):
            x = layers.Dense(units, name=f"fc{index}")(x)
            x = layers.Activation("relu", name=f"fc{index}_relu")(x)
        x = layers.Dense(5, name="fc3")(x)
    else:
        x = layers.Conv2D(4, 3, name="conv0")(x)
        x = layers.Activation("relu", name="conv0_relu")(x)
        x = layers.MaxPooling2D(2, name="pool")(x)
        x = layers.Conv2D(8, 3, name="conv1")(x)
        x = layers.Activation("relu", name="conv1_relu")(x)
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(10, name="fc0")(x)
    model = tf.keras.Model(inputs, x)
    model.compile(
        tf.keras.optimizers.legacy.Adam(LEARNING_RATE),  # the only kind that lets every trial use it anew
        tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ["acc"],
    )
    return model


def search(options: Options, data, folder: str, ended=None) -> AutoQKeras:
    """The finished search. AutoQKeras prints every model that it builds: into nothing, here.

    `ended` is called with each trial when it ends.
    """
    goal = {"type": "energy", "params": ENERGY | {"source_quantizers": [_input_quantizer(options.network, text=False)]}}
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        found = AutoQKeras(
            float_model(options.network),
            metrics=["acc"],
            goal=goal,
            mode="bayesian",
            output_dir=os.path.join(folder, "search"),
            limit=LIMITS,
            quantization_config=ALL_QUANTIZERS if options.keep else QUANTIZERS,
            tune_filters="none",
            tune_filters_exceptions="",  # compiled as a pattern even where nothing is tuned
            max_trials=options.designs,
            num_initial_points=max(3, options.designs // 4),  # the tuner's own default is 3 for each quantizer
            seed=options.seed,
        )
        if ended is not None:
            on_trial_end = found.tuner.on_trial_end
            found.tuner.on_trial_end = lambda trial: (on_trial_end(trial), ended(trial))
        found.fit(
            data.x_train,
            data.y_train,
            validation_data=(data.x_val, data.y_val),
            epochs=options.epochs,
            batch_size=options.batch,
            callbacks=[] if options.keep else [tf.keras.callbacks.EarlyStopping("val_loss", patience=options.epochs)],
            verbose=0,
        )
    return found


def point(trial, model: tf.keras.Model) -> dict:
    """Accuracy (of the best epoch, as the tuner scores it), EBOPs, mean kernel bits and QTools energy of a trial."""
    chosen, data_bits = trial.hyperparameters.values, None
    ebops = kernel_bits = weights = 0
    for layer in model.layers:
        if layer.name == "input_grid":
            data_bits = layer.quantizer.bits
        elif isinstance(layer, layers.Activation):
            data_bits = QUANTIZERS["activation"][chosen[f"{layer.name}_activation_quantizer"]]
        elif isinstance(layer, (layers.Dense, layers.Conv2D)):
            bits = QUANTIZERS["kernel"][chosen[f"{layer.name}_kernel_quantizer"]]
            size = layer.kernel.shape.num_elements()
            positions = tf.TensorShape(layer.output_shape[1:-1]).num_elements()  # one for a dense layer
            ebops += positions * size * bits * data_bits
            kernel_bits += size * bits
            weights += size
    metrics = trial.metrics
    return {
        "accuracy": float(metrics.get_best_value("val_acc")),
        "ebops": float(ebops),
        "bits": kernel_bits / weights,
        "energy_pj": float(metrics.get_best_value("trial")),
    }


def layers_of(model: tf.keras.Model) -> list[Layer]:
    """The deployed network of a trial's model, dense layers only."""
    found, before = [], None
    for layer in model.layers:
        if isinstance(layer, qkeras.QActivation):
            before = _activation(layer.quantizer)
        elif isinstance(layer, qkeras.QDense):
            kernel = layer.kernel_quantizer_internal(layer.kernel).numpy()
            bias = layer.bias if layer.bias_quantizer_internal is None else layer.bias_quantizer_internal(layer.bias)
            found.append(Layer(kernel, bias.numpy(), before))
    return found


def _activation(quantizer) -> Named | Steps:
    """A fixed-point quantizer by its name, another one by its steps."""
    if isinstance(quantizer, (qkeras.quantized_relu, qkeras.quantized_bits)):
        return Named(f"{type(quantizer).__name__}({int(quantizer.bits)},{int(quantizer.integer)})")
    return _steps(quantizer)


def _steps(quantizer) -> Steps:
    """A quantizer of few values as a step function, each threshold to the last bit of float32."""
    grid = np.linspace(-16, 16, 2**14 + 1, dtype=np.float32)
    values = quantizer(tf.constant(grid)).numpy()
    thresholds, levels = [], [float(values[0])]
    for place in np.flatnonzero(values[1:] != values[:-1]):
        low, high = grid[place], grid[place + 1]
        while np.nextafter(low, high) < high and high - low > np.finfo(np.float32).tiny:
            middle = np.float32((low + high) / 2)
            low, high = (
                (middle, high) if quantizer(tf.constant([middle])).numpy()[0] == values[place] else (low, middle)
            )
        thresholds.append(float(high))
        levels.append(float(values[place + 1]))
    return Steps(thresholds, levels)


def keep(options: Options, found: AutoQKeras, ended: dict[str, float]) -> None:
    """All trials, each with the network of its best epoch, as the tuner kept it."""
    kept = Kept(options.keep)
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        for trial in found.tuner.oracle.trials.values():
            if trial.status == "COMPLETED":
                accuracy = float(trial.metrics.get_best_value("val_acc"))
                energy = float(trial.metrics.get_best_value("trial"))
                layers = layers_of(found.tuner.load_model(trial))
                chosen = {name: value for name, value in trial.hyperparameters.values.items()}
                kept.add(ended[trial.trial_id], accuracy, layers, energy_pj=energy, chosen=chosen)
    kept.close(method="AutoQKeras", seed=options.seed, epochs=options.epochs, versions=versions(PACKAGES))


def _input_quantizer(network: str, text: bool = True):
    form = INPUTS[network]
    kind = f"quantized_bits({form.bits},{form.integer},1,alpha=1.0)"
    if not form.signed:
        kind = f"quantized_relu({form.bits},{form.integer})"
    return kind if text else qkeras.get_quantizer(kind)


def main() -> None:
    options = Options.parse(__doc__)
    data = load(options.data, options.network)
    for name in [name for name in dir(qkeras) if name.startswith("Q") and isinstance(getattr(qkeras, name), type)]:
        setattr(tf.keras.layers, name, getattr(qkeras, name))  # where cloning a model looks layers up
    tf.keras.utils.set_random_seed(options.seed)
    ended: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        found = search(options, data, folder, lambda trial: ended.update({trial.trial_id: time.perf_counter() - start}))
        seconds = time.perf_counter() - start
        if options.keep:
            keep(options, found, ended)
            return
    trials = [trial for trial in found.tuner.oracle.trials.values() if trial.status == "COMPLETED"]
    points = [point(trial, found.hypermodel.model) for trial in trials]
    write(options, "AutoQKeras", len(trials), seconds, points, PACKAGES)


if __name__ == "__main__":
    main()
