"""A virtual environment for each peer: `python benchmarks/peers/environment.py FOLDER` makes them all.

The peers can't share the project's environment: AutoQKeras needs QKeras 0.9 on Keras 2, and HGQ2 installs a
package `qkeras` of its own.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from flow.errors import BadInput, ToolFailed

REQUIREMENTS = {
    "autoqkeras": (
        "tensorflow==2.12.1",
        "qkeras==0.9.0",
        "keras-tuner==1.4.7",
        "numpy==1.23.5",
        "jax==0.4.30",  # tensorflow 2.12 asks for any; later ones need a later numpy
        "pyparsing==3.2.5",
        "setuptools==80.9.0",  # keras-tuner and tensorboard import its pkg_resources
    ),
    "hgq2": ("HGQ2==0.2.0", "jax==0.10.2", "keras==3.15.1", "numpy==2.4.6", "quantizers==1.2.2"),
    "rule4ml": (
        "rule4ml==0.2.0",
        "torch==2.13.0",
        "torch-geometric==2.8.1",
        "tensorflow==2.21.0",
        "keras==3.15.1",
        "keras-tuner==1.4.8",
        "optuna==5.0.0",
        "pandas==3.1.1",
        "scikit-learn==1.9.1",
        "numpy==2.4.6",
    ),
}
PYTHONS = {  # first and last that have wheels of these
    "autoqkeras": ((3, 9), (3, 11)),
    "hgq2": ((3, 11), (3, 13)),
    "rule4ml": ((3, 11), (3, 13)),
}


def python_of(peer: str, folder: Path) -> Path:
    """The interpreter of the peer's environment in `folder`/`peer`, which is made where it is missing or outdated.

    Raises BadInput for an unknown peer or a Python that its packages don't support, ToolFailed where the
    environment can't be made, for example without a package index.
    """
    if peer not in REQUIREMENTS:
        raise BadInput(f"peer {peer!r}: there are {', '.join(REQUIREMENTS)}")
    home = folder.absolute() / peer
    python, stamp, text = home / "bin" / "python", home / "installed.txt", "\n".join(REQUIREMENTS[peer]) + "\n"
    if python.exists() and stamp.exists() and stamp.read_text() == text:
        return python
    first, last = PYTHONS[peer]
    if not first <= sys.version_info[:2] <= last:
        raise BadInput(
            f"peer {peer}: needs Python {_dotted(first)} to {_dotted(last)}, this is {sys.version.split()[0]}"
        )
    _run(peer, [sys.executable, "-m", "venv", "--clear", str(home)])
    _run(peer, [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS[peer]])
    stamp.write_text(text)  # last, so that an installation that was cut short is made again
    return python


def _run(peer: str, command: list[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["no message"]
        errors = [line for line in lines if line.startswith("ERROR")] or lines
        raise ToolFailed(f"peer {peer}: its environment can't be made: {errors[-1]}")


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    for peer in REQUIREMENTS:
        try:
            print(f"{peer:12}{python_of(peer, options.folder)}")
        except (BadInput, ToolFailed) as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
