"""What the stand-ins of `vendor_standins` have in common: a run of a script, and how reports are written."""

import os
import re
import sys
import time

from synth import small_tcl
from synth.vendor_standins import break_off, start_text

_CUT = ("truncated", "disk")


def run(tool, script, given):
    """The exit status of a script. What ends a run in its middle does so at its first long command."""
    print(start_text(tool.name, tool.version))
    if tool.behaviour == "harmless":
        print("ERROR: [HLS 200-642] The 'config_array_partition -maximum_size' command is not supported.")
    tool.tcl = small_tcl.Tcl(tool.commands())
    tool.tcl.frames[0]["argv"] = " ".join(given)
    status = 0
    try:
        tool.tcl.source(script)
    except small_tcl.Exit as done:
        status = done.args[0]
    except small_tcl.TclError as error:
        print(f'ERROR: {error}\n    while executing\n"source {script}"')
        status = 1
    program = {"vitis-run": "vitis_hls"}.get(tool.name, tool.name)
    print(f"INFO: [Common 17-206] Exiting {program} at Mon Jan  6 10:00:00 2025...")
    return 1 if tool.behaviour == "late" and status == 0 else status


def put(behaviour, path, text):
    """Write a report, or what a behaviour leaves of it."""
    if behaviour == "no_report":
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text[: 2 * len(text) // 3] if behaviour in _CUT else text)


def fill(text, values):
    """A text with other values; each old one must be in it."""
    for old in values:
        assert old in text, f"the text has no {old!r}"
    pattern = "|".join(re.escape(old) for old in sorted(values, key=len, reverse=True))
    return re.sub(pattern, lambda match: values[match.group()], text)


class Tool:
    def __init__(self, name, version, behaviour, seconds):
        self.name, self.version, self.behaviour, self.seconds = name, version, behaviour, seconds

    def commands(self):
        own = {name[3:]: getattr(self, name) for name in dir(self) if name.startswith("do_")}
        return {name: self._told(name, does) for name, does in own.items()}

    def _told(self, name, does):
        def command(words):
            print(
                f"INFO: [HLS 200-1510] Running: {name} {' '.join(words)}"
                if self.name != "vivado"
                else f"Command: {name}"
            )
            sys.stdout.flush()
            return does(words)

        return command

    def work(self):
        """Whatever takes long, or goes wrong."""
        time.sleep(self.seconds)
        if self.behaviour == "disk":
            print("ERROR: [Common 17-70] write error: No space left on device")
        status = break_off(self.behaviour)
        if status is not None:
            raise small_tcl.Exit(status)

    def end(self):
        """What follows once the reports are written."""
        if self.behaviour == "disk":
            raise small_tcl.Exit(1)


def option(words, name, default=None):
    return words[words.index(name) + 1] if name in words else default
