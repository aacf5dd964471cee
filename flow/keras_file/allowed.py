"""What may stand in a model's description: classes by name and module, closed sets of words, and numbers.

Whatever is not named here is refused, so that reading a file can make no other object.
"""

from flow.formats import KINDS

LAYERS = (
    "InputLayer", "Dense", "Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv2D", "BatchNormalization",
    "Normalization", "MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "Add", "Concatenate", "Flatten",
    "Reshape", "Activation", "ReLU", "Softmax", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise",
    "ActivityRegularization",
)  # fmt: skip
QLAYERS = {
    "QActivation": "qkeras.qlayers",
    "QDense": "qkeras.qlayers",
    "QConv1D": "qkeras.qconvolutional",
    "QConv2D": "qkeras.qconvolutional",
    "QDepthwiseConv2D": "qkeras.qconvolutional",
    "QBatchNormalization": "qkeras.qnormalization",
    "QDenseBatchnorm": "qkeras.qdense_batchnorm",
    "QConv2DBatchnorm": "qkeras.qconv2d_batchnorm",
}
MODELS = ("Sequential", "Functional")
HARDWARE = ("truncated_bits", "half_up_bits", "truncated_relu", "half_up_relu")  # quantizers of this package
QUANTIZERS = {kind: "flow.train.hardware" if kind in HARDWARE else "qkeras.quantizers" for kind in KINDS}
TRAINING = {
    "keras.initializers": (
        "Zeros", "Ones", "Constant", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling",
        "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "LecunNormal", "LecunUniform", "Orthogonal",
        "OrthogonalInitializer", "Identity",
    ),
    "keras.regularizers": ("L1", "L2", "L1L2", "OrthogonalRegularizer"),
    "keras.constraints": ("MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"),
    "qkeras.qlayers": ("QInitializer", "Clip"),
}  # fmt: skip
ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid", "softmax")

# Settings of layers, by what they may be.
OBJECTS = {f"{part}_{kind}" for part in ("kernel", "bias", "depthwise", "pointwise", "beta", "gamma", "moving_mean",
                                         "moving_variance", "activity")
           for kind in ("initializer", "regularizer", "constraint")}  # fmt: skip
QUANTIZED = {f"{part}_quantizer" for part in ("kernel", "bias", "depthwise", "gamma", "beta", "mean", "variance",
                                              "inverse")}  # fmt: skip
WORDS = {
    "padding": ("valid", "same", "causal"),
    "data_format": ("channels_last", "channels_first"),
    "folding_mode": ("batch_stats_folding", "ema_stats_folding"),
}
NUMBERS = {
    "trainable", "units", "filters", "kernel_size", "strides", "dilation_rate", "groups", "depth_multiplier",
    "use_bias", "axis", "momentum", "epsilon", "center", "scale", "synchronized", "renorm", "renorm_momentum",
    "ema_freeze_delay", "pool_size", "keepdims", "target_shape", "max_value", "negative_slope", "threshold", "rate",
    "seed", "noise_shape", "stddev", "l1", "l2", "batch_shape", "batch_input_shape", "input_shape", "sparse", "ragged",
    "optional", "mean", "variance", "invert", "kernel_range", "bias_range", "depthwise_range", "beta_range",
    "gamma_range", "mean_range", "variance_range",
}  # fmt: skip
NOTHING = {"quantization_config", "lora_rank", "lora_alpha", "renorm_clipping", "mask", "dynamic", "virtual_batch_size"}
QUANTIZER_WORDS = {"alpha": ("auto", "auto_po2"), "log2_rounding": ("rnd", "floor")}


def registered(kind: str) -> str | None:
    """The name under which Keras knows a layer that is not its own; QKeras has left one out of its register."""
    if kind not in QLAYERS:
        return None
    return kind if kind == "QDenseBatchnorm" else f"qkeras>{kind}"
