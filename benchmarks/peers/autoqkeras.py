"""AutoQKeras: a Bayesian search of quantizers with its energy goal, one Keras fit a trial.

Runs in the environment `autoqkeras`. --designs trials of --epochs epochs each; none ends early, so that all
methods spend the same. Kernels, biases and activations choose from QKeras's own lists, from 2 to 8 bits.
"""

import contextlib
import os
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import qkeras
import tensorflow as tf
from qkeras.autoqkeras import AutoQKeras
from qkeras.autoqkeras.quantization_config import default_quantization_config
from record import INPUTS, Options, load, write
from tensorflow.keras import layers

LEARNING_RATE = 3e-3
QUANTIZERS = {
    place: {name: bits for name, bits in choices.items() if 2 <= bits <= 8}
    for place, choices in default_quantization_config.items()
}
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


def search(options: Options, data, folder: str) -> AutoQKeras:
    """The finished search. AutoQKeras prints every model that it builds: into nothing, here."""
    goal = {"type": "energy", "params": ENERGY | {"source_quantizers": [_input_quantizer(options.network, text=False)]}}
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        found = AutoQKeras(
            float_model(options.network),
            metrics=["acc"],
            goal=goal,
            mode="bayesian",
            output_dir=os.path.join(folder, "search"),
            limit=LIMITS,
            quantization_config=QUANTIZERS,
            tune_filters="none",
            tune_filters_exceptions="",  # compiled as a pattern even where nothing is tuned
            max_trials=options.designs,
            num_initial_points=max(3, options.designs // 4),  # the tuner's own default is 3 for each quantizer
            seed=options.seed,
        )
        found.fit(
            data.x_train,
            data.y_train,
            validation_data=(data.x_val, data.y_val),
            epochs=options.epochs,
            batch_size=options.batch,
            callbacks=[tf.keras.callbacks.EarlyStopping("val_loss", patience=options.epochs)],  # in place of its own
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
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        found = search(options, data, folder)
        seconds = time.perf_counter() - start
    trials = [trial for trial in found.tuner.oracle.trials.values() if trial.status == "COMPLETED"]
    points = [point(trial, found.hypermodel.model) for trial in trials]
    packages = ("qkeras", "tensorflow", "keras-tuner", "numpy")
    write(options, "AutoQKeras", len(trials), seconds, points, packages)


if __name__ == "__main__":
    main()
