import pytest

from flow import parts
from flow.errors import BadInput


@pytest.mark.parametrize(
    "name, prefix",
    [
        ("xcvu9p-flga2104-2-e", "xcvu9p"),
        ("XCVU13P", "xcvu13p"),
        ("xcu250-figd2104-2L-e", "xcu250"),
        ("xc7z020clg400-1", "xc7z020"),
        ("xc7z007s-clg225-1", "xc7z007s"),
        ("xc7vx690tffg1927-2", "xc7vx690t"),
        ("xcku115-flvb2104-2-i", "xcku115"),
    ],
)
def test_full_names_are_found(name, prefix):
    assert parts.find(name).prefix == prefix


def test_every_part_finds_itself_and_has_a_family():
    for prefix, part in parts.PARTS.items():
        assert parts.find(prefix) is part
        assert part.yosys_family in ("xcup", "xcu", "xc7")
        assert part.lut > 0 and part.ff == 2 * part.lut and part.dsp > 0 and part.bram_18k > 0 and part.uram >= 0


@pytest.mark.parametrize("name", ["xcvu9", "xcvu9pp", "", "stratix10", "xcu2500"])
def test_unknown_part_names_the_known(name):
    with pytest.raises(BadInput, match="xcvu9p, xcvu13p"):
        parts.find(name)


def test_a_slip_is_guessed():
    with pytest.raises(BadInput, match="Did you mean xcvu13p"):
        parts.find("xcvu13-flga2577-2-e")
