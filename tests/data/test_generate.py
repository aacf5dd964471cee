"""The generator: the same bytes however it is run, and a clear word when it can't be."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests_support import interruptible

from flow.data import chunks, generate, jetfile, pythia
from flow.data.features import CLASSES, FEATURES
from flow.data.load import load
from flow.data.settings import Settings
from flow.errors import BadInput, Storage

FEW = Settings(jets_per_class=7, classes=("q", "w"), seed=5)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "JETS_PER_CHUNK", 3)


@pytest.fixture
def made_up(monkeypatch):
    """Jets of random numbers in Pythia's stead; counts the chunks made, and stops where told."""

    class Maker:
        made = 0
        stop_after = None
        error: BaseException = KeyboardInterrupt()

        def __call__(self, chunk, settings):
            if self.made == self.stop_after:
                raise self.error
            self.made += 1
            rng = np.random.default_rng(chunks.chunk_seed(settings.seed, chunk))
            features = rng.standard_normal((chunk.jets, len(FEATURES))).astype(np.float32)
            return chunks.keep_mantissa(features, settings.mantissa_bits), np.array([2, 2, 5])[: chunk.jets]

    maker = Maker()
    monkeypatch.setattr(chunks, "make", maker)
    monkeypatch.setattr(pythia, "version", lambda: "none")
    return maker


def test_the_plan_takes_classes_in_turns_and_ends_with_the_rest():
    assert [(chunk.jet_class, chunk.number, chunk.jets) for chunk in chunks.plan(FEW)] == [
        ("q", 0, 3), ("w", 0, 3), ("q", 1, 3), ("w", 1, 3), ("q", 2, 1), ("w", 2, 1),
    ]  # fmt: skip


def test_chunks_have_seeds_of_their_own():
    seeds = {chunks.chunk_seed(seed, chunks.Chunk(c, n, 3)) for seed in (1, 2) for c in CLASSES for n in range(50)}
    assert len(seeds) == 500
    assert chunks.chunk_seed(1, chunks.Chunk("g", 0, 3)) == chunks.chunk_seed(1, chunks.Chunk("g", 0, 9))


@pytest.mark.parametrize("bits", [4, 12, 22, 23])
def test_rounding_keeps_the_bits_it_says(bits):
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    kept = chunks.keep_mantissa(values, bits)
    assert np.max(np.abs(kept / values - 1)) <= 2.0 ** -(bits + 1) * 1.01
    assert not np.any(kept.view(np.uint32) & np.uint32((1 << (23 - bits)) - 1))


def test_a_file_can_be_loaded_and_tells_its_story(tmp_path, made_up):
    out = generate.generate(FEW, tmp_path / "deep" / "jets.parquet", workers=1, progress=False)
    jets = load(out, FEATURES, ["q", "w"])
    assert np.bincount(jets.labels).tolist() == [7, 7]
    assert jets.events.tolist() == [0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 9]
    told = jets.provenance
    assert told["stand_in"] is True and told["event_ids"] is True and told["seed"] == 5
    assert told["settings"]["radius"] == 0.8 and "12" in told["precision"]
    assert os.listdir(out.parent) == ["jets.parquet"]


def test_a_file_of_another_kind_is_not_written_over(tmp_path):
    other = tmp_path / "digits.npz"
    other.write_bytes(b"kept")
    with pytest.raises(BadInput, match="digits.npz: .*ends in .parquet"):
        generate.generate(FEW, other, 1, False)
    assert other.read_bytes() == b"kept"


def test_what_is_there_already_is_left_alone(tmp_path, made_up):
    out = generate.generate(FEW, tmp_path / "jets.parquet", 1, False)
    generate.generate(FEW, out, 1, False)
    assert made_up.made == 6
    with pytest.raises(BadInput, match="is there already"):
        generate.generate(Settings(jets_per_class=8, classes=("q", "w")), out, 1, False)


@pytest.mark.parametrize("after", [0, 1, 4])
def test_going_on_after_an_interruption(tmp_path, made_up, after, capsys):
    whole = generate.generate(FEW, tmp_path / "whole.parquet", 1, False).read_bytes()
    made_up.made, made_up.stop_after = 0, after
    out = tmp_path / "jets.parquet"
    with pytest.raises(KeyboardInterrupt):
        generate.generate(FEW, out, 1, True)
    assert "goes on from there" in capsys.readouterr().err and not out.exists()
    made_up.made, made_up.stop_after = 0, None
    assert generate.generate(FEW, out, 1, False).read_bytes() == whole
    assert made_up.made == 6 - after


def test_a_damaged_part_is_made_again(tmp_path, made_up):
    whole = generate.generate(FEW, tmp_path / "whole.parquet", 1, False).read_bytes()
    out = tmp_path / "jets.parquet"
    made_up.made, made_up.stop_after = 0, 4
    with pytest.raises(KeyboardInterrupt):
        generate.generate(FEW, out, 1, False)
    parts = sorted((tmp_path / "jets.parquet.parts").glob("*.npz"))
    parts[0].write_bytes(parts[0].read_bytes()[:100])
    parts[1].write_bytes(b"")
    made_up.stop_after = None
    assert generate.generate(FEW, out, 1, False).read_bytes() == whole


def test_parts_of_other_settings_are_refused(tmp_path, made_up):
    out = tmp_path / "jets.parquet"
    made_up.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        generate.generate(FEW, out, 1, False)
    with pytest.raises(BadInput, match="radius 0.8, now 0.4"):
        generate.generate(Settings(jets_per_class=7, classes=("q", "w"), seed=5, radius=0.4), out, 1, False)


def test_a_strange_folder_is_not_touched(tmp_path, made_up):
    folder = tmp_path / "jets.parquet.parts"
    folder.mkdir()
    (folder / "thesis.tex").write_text("dear")
    with pytest.raises(BadInput, match="not the generator's"):
        generate.generate(FEW, tmp_path / "jets.parquet", 1, False)
    assert (folder / "thesis.tex").exists()


def test_a_full_disk_is_a_storage_error(tmp_path, made_up, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(chunks.os, "fsync", full)
        with pytest.raises(Storage, match="No space left"):
            generate.generate(FEW, tmp_path / "jets.parquet", 1, False)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []
    generate.generate(FEW, tmp_path / "jets.parquet", 1, False)


def test_a_file_in_the_way_of_the_folder(tmp_path, made_up):
    (tmp_path / "here").write_text("")
    with pytest.raises(Storage, match="here"):
        generate.generate(FEW, tmp_path / "here" / "jets.parquet", 1, False)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"jets_per_class": 0}, "jets_per_class is 0"),
        ({"classes": ("g", "x")}, "classes"),
        ({"classes": ()}, "classes"),
        ({"classes": ("g", "g")}, "classes"),
        ({"seed": -1}, "seed is -1"),
        ({"radius": 9.0}, "radius is 9.0"),
        ({"radius": float("nan")}, "radius is nan"),
        ({"z_cut": 0.5}, "z_cut"),
        ({"jet_pt": (900.0, 800.0)}, "jet_pt"),
        ({"pt_hat": (1000.0, 9000.0)}, "pt_hat"),
        ({"jets_per_event": 3}, "jets_per_event"),
        ({"mantissa_bits": 24}, "mantissa_bits"),
        ({"detector": generate.Settings().detector.__class__(hadron_cell=0.0)}, "detector.hadron_cell is 0.0"),
        ({"detector": generate.Settings().detector.__class__(photon_noise=float("nan"))}, "detector.photon_noise"),
    ],
)
def test_settings_out_of_range(change, word):
    with pytest.raises(BadInput, match=word):
        Settings(**change)


def test_bad_calls(tmp_path, made_up):
    with pytest.raises(BadInput, match="ends in .parquet"):
        generate.generate(FEW, tmp_path / "jets.csv", 1, False)
    with pytest.raises(BadInput, match="workers is 0"):
        generate.generate(FEW, tmp_path / "jets.parquet", 0, False)


def test_without_pythia_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(BadInput, match="extra 'generate'"):
        generate.generate(FEW, tmp_path / "jets.parquet", 1, False)
    assert list(tmp_path.iterdir()) == []


def test_provenance_is_plain(made_up):
    record = generate.provenance(FEW)
    assert json.loads(json.dumps(record)) == record


def test_a_file_that_is_no_parquet_says_nothing_of_itself(tmp_path):
    (tmp_path / "x.parquet").write_text("no")
    assert jetfile.read_provenance(tmp_path / "x.parquet") is None


# From here on Pythia itself runs.

SCRIPT = """
import sys
from pathlib import Path
from flow.data import chunks
from flow.data.generate import Settings, generate

chunks.JETS_PER_CHUNK = 400

if __name__ == "__main__":
    generate(Settings(jets_per_class=1000, classes=("w", "g")), Path(sys.argv[1]), int(sys.argv[2]), True)
"""


@pytest.fixture
def run(tmp_path):
    """Start the generator in a process group of its own."""
    pytest.importorskip("pythia8mc", reason="making jets needs Pythia, of the extra 'generate'")
    pytest.importorskip("awkward")
    script = tmp_path / "make_jets.py"
    script.write_text(SCRIPT)
    where = os.environ | {"PYTHONPATH": str(Path(generate.__file__).parents[2])}

    def start(out: Path, workers: int) -> subprocess.Popen:
        command = [sys.executable, str(script), str(out), str(workers)]
        return subprocess.Popen(
            command, env=where, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=interruptible
        )

    return start


def finish(process: subprocess.Popen) -> str:
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0, errors
    return errors


def parts(out: Path) -> list[Path]:
    return list(out.with_name(out.name + ".parts").glob("*.npz"))


def first_part(out: Path, process: subprocess.Popen) -> None:
    while process.poll() is None and not parts(out):
        time.sleep(0.05)


@pytest.mark.slow
def test_one_or_two_workers_and_an_interruption_give_the_same_bytes(tmp_path, run):
    one, two, cut, killed = (tmp_path / f"{name}.parquet" for name in ("one", "two", "cut", "killed"))
    assert "6 of 6 chunks" in finish(run(one, 1))
    finish(run(two, 2))
    assert one.read_bytes() == two.read_bytes()

    process = run(cut, 2)
    first_part(cut, process)
    os.killpg(process.pid, signal.SIGINT)
    assert "goes on from there" in process.communicate(timeout=120)[1]
    assert process.returncode != 0 and parts(cut) and not cut.exists()
    finish(run(cut, 1))
    assert cut.read_bytes() == one.read_bytes()

    process = run(killed, 2)
    first_part(killed, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)
    assert not killed.exists()
    finish(run(killed, 2))
    assert killed.read_bytes() == one.read_bytes()
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.slow
def test_jets_of_pythia_have_the_masses_of_their_kind(tmp_path, monkeypatch):
    pytest.importorskip("pythia8mc", reason="making jets needs Pythia, of the extra 'generate'")
    monkeypatch.setattr(chunks, "JETS_PER_CHUNK", 400)
    jets = load(generate.generate(Settings(jets_per_class=400), tmp_path / "jets.parquet", 1, False))
    mass, count = jets.features[:, FEATURES.index("mass_mmdt")], jets.features[:, FEATURES.index("multiplicity")]
    median = {name: np.median(mass[jets.labels == index]) for index, name in enumerate(CLASSES)}
    # A little below the true masses: grooming drops some, the gaps between cells and tracks some.
    assert 72 < median["w"] < 82 < median["z"] < 93 and 150 < median["t"] < 180
    gluon, quark = (np.mean(count[jets.labels == CLASSES.index(name)]) for name in "gq")
    assert gluon > 1.3 * quark
    assert np.max(np.bincount(jets.events)) == 2
    d2 = [jets.features[:, FEATURES.index(name)] for name in ("d2_b1_mmdt", "d2_a1_b1_mmdt")]
    np.testing.assert_array_equal(*d2)


def test_a_window_without_jets_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("pythia8mc", reason="making jets needs Pythia, of the extra 'generate'")
    settings = Settings(jets_per_class=1, classes=("q",), jet_pt=(3000.0, 3001.0))
    with pytest.raises(BadInput, match="gave 0 jets in the window"):
        generate.generate(settings, tmp_path / "jets.parquet", 1, False)


def test_pythia_refuses_in_one_line(monkeypatch):
    pytest.importorskip("pythia8mc", reason="making jets needs Pythia, of the extra 'generate'")
    monkeypatch.setitem(pythia.PROCESSES, "g", ("HardQCD:nonsense = on",))
    with pytest.raises(BadInput, match="refuses the setting 'HardQCD:nonsense = on'"):
        next(pythia.events("g", 1, FEW))
