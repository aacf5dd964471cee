"""The search benchmark's own arithmetic: fronts over time, seeds without a point, goes beside each other, and what is
read back."""

import importlib
import json
import math

import numpy as np
import pytest


def row(seconds: float, validation: float, lut: float, test: float | None = None) -> dict:
    return {
        "seconds": seconds, "validation": validation, "test": validation if test is None else test, "lut": lut,
        "exact": True,
    }  # fmt: skip


@pytest.fixture
def fronts(benchmark_module):
    return benchmark_module("fronts")


@pytest.fixture
def report(benchmark_module):
    return benchmark_module("report")


class TestFronts:
    def test_validation_decides_who_is_on_it(self, fronts):
        rows = [row(1, 0.70, 400), row(2, 0.70, 400, 0.9), row(3, 0.69, 500, 0.9), row(4, 0.72, 800, 0.6)]
        assert fronts.front(rows) == [rows[0], rows[3]]
        assert fronts.front([]) == []

    def test_the_test_sample_decides_what_it_is_worth(self, fronts):
        octaves = math.log2(fronts.REFERENCE["lut"])
        rows = [row(1, 0.70, 256, 0.69)]
        assert fronts.volume(rows) == pytest.approx(0.04 * (octaves - 8))
        assert fronts.volume([*rows, row(2, 0.72, 1024, 0.71)]) == pytest.approx(
            0.04 * (octaves - 8) + 0.02 * (octaves - 10)
        )
        assert fronts.volume([row(1, 0.9, 256, 0.6), row(1, 0.95, 2**17)]) == fronts.volume([]) == 0.0

    def test_over_time(self, fronts):
        rows = [row(5, 0.70, 256), row(2, 0.68, 256), row(7, 0.66, 512)]
        curve = fronts.over_time(rows)
        assert [moment for moment, _ in curve] == [2, 5] and curve[-1][1] == fronts.volume(rows)
        assert fronts.over_time([]) == []
        assert (fronts.at(curve, 1), fronts.at(curve, 2), fronts.at(curve, 99)) == (0.0, curve[0][1], curve[1][1])

    def test_a_height_counts_when_it_is_reached_for_good(self, fronts):
        curve = [(1, 0.5), (2, 0.3), (4, 0.6)]
        assert fronts.seconds_to(curve, 0.3) == 1 and fronts.seconds_to(curve, 0.5) == 4
        assert fronts.seconds_to(curve, 0.7) is None and fronts.seconds_to([], 0.1) is None

    def test_the_cheapest_that_is_as_accurate(self, fronts):
        rows = [row(1, 0.70, 256), row(2, 0.72, 512), row(3, 0.74, 1024)]
        assert fronts.cheapest(rows, 0.71) == rows[1] and fronts.cheapest(rows, 0.75) is None
        assert fronts.least_lut(rows, 0.71) == 512 and fronts.least_lut(rows, 0.75) is None
        assert fronts.until(rows, 2) == rows[:2]

    def test_who_was_ever_on_a_front(self, fronts):
        rows = [row(1, 0.70, 512), row(3, 0.70, 256), row(2, 0.69, 600), row(4, 0.72, 300)]
        assert fronts.ever_on_front(rows) == [rows[0], rows[1], rows[3]]
        assert fronts.over_time(fronts.ever_on_front(rows)) == fronts.over_time(rows)


GOOD = [row(10, 0.70, 256), row(30, 0.73, 1024)]


class TestSeedsWithoutAPoint:
    def test_they_count_as_nothing(self, report, fronts):
        rows = {("random", 1): GOOD, ("random", 2): []}
        told = report.summary(rows, {"random": []})["hypervolume"]["random"]
        assert told["mean"] == pytest.approx(fronts.volume(GOOD) / 2)
        assert told["deviation"] == pytest.approx(fronts.volume(GOOD) / math.sqrt(2))
        assert told["by_seed"] == {1: fronts.volume(GOOD), 2: 0.0}
        assert told["against_time"][-1] == [30, pytest.approx(fronts.volume(GOOD) / 2)]
        assert (told["points"], told["seconds"]) == (2, 30.0)

    def test_none_of_them_reaches_anything(self, report):
        rows = {("random", 1): GOOD, ("random", 2): []} | {(name, 1): GOOD for name in ("AutoQKeras", "HGQ2")}
        marks = report.summary(rows, {})["marks"]
        to_final = marks["time_to_autoqkeras_final"]["methods"]["random"]
        assert to_final["by_seed"] == {1: 30, 2: None} and to_final["mean"] is None and not to_final["reached"]
        assert marks["lut_at_autoqkeras_best"]["methods"]["random"]["ratio_traced"] is None
        ratios = [mark for mark in marks["lut_to_hgq2"] if mark["accuracy"] == 0.70]
        assert all(mark["ratio"] == 1.0 for mark in ratios)  # of the seeds that both have: the first

    def test_luts_at_an_accuracy_are_those_of_all_seeds(self, report):
        rows = {("random", 1): GOOD, ("random", 2): [row(5, 0.71, 1024)]}
        told = report.summary(rows, {})["lut_at"]["random"]
        assert told["0.7"] == pytest.approx(512) and told["0.71"] == pytest.approx(1024) and told["0.72"] is None

    def test_with_the_same_seeds_a_seed_without_a_point_does_not_have_it(self, report):
        rows = {("random", 1): GOOD, ("random", 2): [], ("HGQ2", 1): GOOD, ("HGQ2", 2): GOOD}
        for mark in report.summary(rows, {})["marks"]["lut_to_hgq2"]:
            if mark["accuracy"] == 0.70:
                assert mark["ratio"] is None and mark["reached"] is False and None in mark["lut"]

    @pytest.mark.parametrize("method", ["random", "AutoQKeras", "HGQ2"])
    def test_a_method_without_any(self, report, capsys, method):
        rows = {(name, 1): GOOD for name in ("random", "AutoQKeras", "HGQ2")} | {(method, 1): [], (method, 2): []}
        found = report.summary(rows, {method: []})
        told = found["hypervolume"][method]
        assert (told["mean"], told["seconds"], told["points"]) == (0.0, None, 0)
        json.dumps(found, allow_nan=False)
        report.show(found)
        assert f"{method}" in capsys.readouterr().out

    def test_the_benchmark_keeps_them(self, benchmark_module, tmp_path):
        """As priced from runs whose points are below the reference accuracy."""
        search, methods = benchmark_module("search"), benchmark_module("methods")
        (tmp_path / "held.npz").write_bytes(b"")
        low = {"seconds": 1.0, "accuracy": 0.3, "network": "0000.npz"}
        runs = [methods.Run("random", seed, tmp_path, points, {}, False) for seed, points in ((1, (low,)), (2, ()))]
        options = type("Options", (), {"workers": 1, "quick": True, "first_seed": 1})
        rows = search._priced(options, runs, tmp_path)
        assert rows == {("random", 1): [], ("random", 2): []}
        assert search._synthesised(options, ["random"], runs, rows, tmp_path) == {"random": []}


class TestGoes:
    """A result with other seeds is put beside this go's."""

    def same(self, **changed):
        return {"quick": False, "plan": {"trials": 100}, "jets": {"train": 1}, "reference_point": {"lut": 4}} | changed

    def go(self, benchmark_module, seed: int, points: list[dict]):
        goes = benchmark_module("goes")
        rows = {(method, seed): points for method in ("random", "AutoQKeras", "HGQ2")}
        return goes.Goes(rows, {"random": points[:1]}, [{"seeds": [seed]}])

    def kept(self, benchmark_module, path, goes):
        told = benchmark_module("report").summary(goes.rows, goes.synthesised) | self.same() | goes.to_json()
        path.write_text(json.dumps(told))
        return path

    def test_it_says_the_same_as_one_go(self, benchmark_module, report, tmp_path):
        goes = benchmark_module("goes")
        late = [point | {"seconds": 3 * point["seconds"]} for point in GOOD]
        first, second = self.go(benchmark_module, 1, [*GOOD, row(40, 0.6, 2000)]), self.go(benchmark_module, 2, late)
        read = goes.read(self.kept(benchmark_module, tmp_path / "first.json", first), self.same())
        both = goes.joined(read, second)
        whole = goes.Goes(first.rows | second.rows, first.synthesised, [{"seeds": [1]}, {"seeds": [2]}])
        assert both.told == whole.told and both.synthesised == whole.synthesised
        mine, theirs = (report.summary(found.rows, found.synthesised) for found in (both, whole))
        for found in (mine, theirs):
            for told in found["hypervolume"].values():
                del told["points"], told["seconds"]  # of all points; only those that were on a front are kept
        assert mine["hypervolume"] == theirs["hypervolume"] and mine["fronts"] == theirs["fronts"]

    def test_shares_are_those_of_the_seeds(self, benchmark_module, report):
        """A go that takes three times as long changes no share."""
        rows = {("random", 1): GOOD, ("AutoQKeras", 1): [point | {"seconds": 10 * point["seconds"]} for point in GOOD]}
        rows |= {(name, 2): [p | {"seconds": 3 * p["seconds"]} for p in own] for (name, _), own in rows.items()}
        told = report.summary(rows, {})["marks"]["time_to_autoqkeras_final"]["methods"]["random"]
        assert told["share"] == pytest.approx(0.1) and told["reached"] and told["by_seed"] == {1: 30, 2: 90}

    def test_what_is_not_comparable(self, benchmark_module, tmp_path):
        goes, errors = benchmark_module("goes"), importlib.import_module("flow.errors")
        path = self.kept(benchmark_module, tmp_path / "first.json", self.go(benchmark_module, 1, GOOD))
        with pytest.raises(errors.BadInput, match="its plan is .*100.*, here .*64.*: not comparable"):
            goes.read(path, self.same(plan={"trials": 64}))
        with pytest.raises(errors.BadInput, match="(AutoQKeras|HGQ2|random), seed 1: is there twice"):
            goes.joined(goes.read(path, self.same()), self.go(benchmark_module, 1, GOOD))
        for text in ("", "[]", "{}", '{"points": 3}'):
            path.write_text(text)
            with pytest.raises(errors.BadInput, match="first.json: not a result of this benchmark"):
                goes.read(path, self.same())
        with pytest.raises(errors.BadInput, match="nowhere.json: not a result"):
            goes.read(tmp_path / "nowhere.json", self.same())


class TestWhatIsReadBack:
    def events(self, benchmark_module, **changed):
        events = benchmark_module("events")
        x = {part: np.arange(32, dtype=np.float32).reshape(2, 16) for part in events.PARTS}
        y = {part: np.array([0, 1], np.int32) for part in events.PARTS}
        return events.Events(**{"x": x, "y": y, "classes": ("g", "q")} | changed)

    def test_runs_on_other_events_have_another_folder(self, benchmark_module, tmp_path):
        folder = benchmark_module("methods").work_folder
        base = self.events(benchmark_module)
        assert folder(tmp_path, base) == folder(tmp_path, self.events(benchmark_module))
        values, labels = dict(base.x), dict(base.y)
        values["test"] = values["test"] + np.float32(1 / 32)
        labels["train"] = labels["train"][::-1]
        changed = [{"x": values}, {"y": labels}, {"classes": ("q", "g")}]
        others = [folder(tmp_path, self.events(benchmark_module, **change)) for change in changed]
        assert len({folder(tmp_path, base), *others}) == 4
        assert all(path.name.startswith("jets-2-") for path in others)

    def test_runs_of_another_task_have_another_folder(self, benchmark_module, tmp_path, monkeypatch):
        methods = benchmark_module("methods")
        before = methods.strategy_folder(tmp_path, "random", 1, methods.QUICK)
        assert before == methods.strategy_folder(tmp_path, "random", 1, methods.QUICK)
        monkeypatch.setattr(methods, "LUT_BUDGET", 500)
        assert methods.strategy_folder(tmp_path, "random", 1, methods.QUICK) != before

    def test_a_long_run_has_a_plan_and_a_folder_of_its_own(self, benchmark_module, tmp_path):
        methods = benchmark_module("methods")
        plan = methods.FULL.of(f"evolve{methods.LONG}")
        assert plan.trials > methods.FULL.trials and plan.final_epochs > methods.FULL.final_epochs
        assert methods.FULL.of("evolve") == methods.FULL
        folders = {methods.strategy_folder(tmp_path, "evolve", 1, each) for each in (plan, methods.FULL)}
        assert len(folders) == 2

    def test_only_weights_on_a_path_from_input_to_output_matter(self, benchmark_module):
        networks, anatomy = benchmark_module("networks"), benchmark_module("anatomy")
        kernels = [
            [[1.0, 0.75, 0.0], [0.0, 0.0, 3.0]],  # nobody reads the third unit
            [[0.5, 0.0], [0.0, -1.5], [0.0, 0.0]],  # the second one's is read
            [[1.0], [0.0]],  # and leads nowhere
        ]
        layers = [networks.Layer(np.array(kernel), np.zeros(len(kernel[0])), {}) for kernel in kernels]
        told = anatomy.anatomy(layers)
        assert told == {"inputs": [1, 1, 1], "weights": [1, 1, 1], "digits": [1, 1, 1]}
        layers[2].kernel[1] = 7.0
        assert anatomy.anatomy(layers) == {"inputs": [1, 2, 2], "weights": [2, 2, 2], "digits": [3, 3, 3]}

    def test_a_network_is_priced_anew_for_other_events(self, benchmark_module, tmp_path):
        """One layer that picks the class by the sign of the first value."""
        record, pricing = benchmark_module("record"), benchmark_module("pricing")
        kernel = np.zeros((16, 2))
        kernel[0] = [1.0, -1.0]
        kept = record.Kept(tmp_path)
        kept.add(1.0, 0.9, [record.Layer(kernel, np.zeros(2), record.Named("quantized_bits(8,3)"))])
        x, y = np.ones((4, 16)), np.array([0, 0, 0, 1])
        found = []
        for labels in (y, 1 - y, y):
            held = {f"{kind}_{part}": value for kind, value in (("x", x), ("y", labels)) for part in ("val", "test")}
            np.savez(tmp_path / "held.npz", **held)
            found += pricing.price(kept.points, tmp_path, tmp_path / "held.npz", 1)
        assert [row["test"] for row in found] == [0.75, 0.25, 0.75]
        assert found[0] == found[2] and found[0]["exact"]
