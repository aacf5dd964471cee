"""The release bundle: one file with all that is needed to use a design, prove it right, and build it.

`export` makes one of a built project; `verify` checks one on any machine.
"""

from flow.firmware.bundle.check import verify
from flow.firmware.bundle.export import export

__all__ = ["export", "verify"]
