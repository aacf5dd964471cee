"""Write digits.npz from scikit-learn's copy of the set; the same versions write the same bytes.

Needs the extra 'test' (scikit-learn). Run it as `python models/digits/make_data.py`.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

OUT = Path(__file__).with_name("digits.npz")


def main(out: Path = OUT) -> None:
    """Pixels X (1797, 64) of 0 to 16, row after row, and digits y (1797,), both as bytes, in the set's order."""
    digits = load_digits()
    np.savez_compressed(out, X=digits.data.astype(np.uint8), y=digits.target.astype(np.uint8))


if __name__ == "__main__":
    main()
