"""What is shipped beside an emulator's C++: headers for C and C++, a Python module, the list of symbols, a Makefile."""

from flow.firmware.emulator.names import Names

FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-fno-exceptions", "-fno-rtti", "-Wno-psabi")


def c_header(names: Names, words: str, result: str, n_in: int, n_out: int) -> str:
    prefix, guard = names.prefix, names.prefix.upper()
    return f"""/* {names.name}, version {names.version}: emulator of the firmware, bit by bit.

   An event is {n_in} input words of type {words} and gives {n_out} outputs of type {result}; events lie one behind
   another. An ap_fixed<W,I> is a signed (ap_ufixed: unsigned) integer of W bits times 2 to the power of I - W.
   All functions may be called from several threads at once. */
#ifndef {guard}_H
#define {guard}_H

#include <stddef.h>
#include <stdint.h>

#ifndef {guard}_API
#if defined(__GNUC__)
#define {guard}_API __attribute__((visibility("default")))
#elif defined(_WIN32) && defined({guard}_BUILD)
#define {guard}_API __declspec(dllexport)
#else
#define {guard}_API
#endif
#endif

#ifdef __cplusplus
extern "C" {{
#endif

enum {{ {guard}_INPUTS = {n_in}, {guard}_OUTPUTS = {n_out} }};

/* Outputs (n * {n_out}) of n events (n * {n_in} values of the words). Returns 0; or 1 where a value is off the words'
   grid, 2 where no memory is left, 3 for a null pointer, and then says why in `error` (`error_size` bytes; may be null).
   What the outputs hold is then of no meaning. `flags`: 0, or 1 to round values to the nearest word, ties to even, and
   to saturate; 0x100 and 0x200 leave AVX-512 and AVX2 unused, for tests. */
{guard}_API int {prefix}_predict(const double *values, size_t n, double *outputs, unsigned flags, char *error,
    size_t error_size);

/* The same in the words' own integers; an output's value is its integer times 2 to the power of minus the fractional
   bits of {result}. */
{guard}_API int {prefix}_predict_words(const int32_t *words, size_t n, int64_t *outputs, unsigned flags, char *error,
    size_t error_size);

/* Name, version, formats and digests, as JSON. */
{guard}_API const char *{prefix}_info(void);

#ifdef __cplusplus
}}
#endif
#endif
"""


def cpp_header(names: Names) -> str:
    prefix, guard = names.prefix, names.prefix.upper()
    return f"""// {names.name}, version {names.version}, for C++. Two versions may be included in one file.
#pragma once

#include "{prefix}.h"

#include <stdexcept>
#include <string>
#include <vector>

namespace {prefix} {{

struct Emulator {{
    static constexpr size_t inputs = {guard}_INPUTS, outputs = {guard}_OUTPUTS;

    // Outputs of as many events as `values` holds, row by row. Throws std::invalid_argument for values off the grid, unless
    // they are to be `rounded`.
    static std::vector<double> predict(const std::vector<double> &values, bool rounded = false) {{
        std::vector<double> result(events(values.size()) * outputs);
        char error[256] = "";
        check({prefix}_predict(values.data(), events(values.size()), result.data(), rounded, error, sizeof error), error);
        return result;
    }}

    static std::vector<int64_t> predict_words(const std::vector<int32_t> &words) {{
        std::vector<int64_t> result(events(words.size()) * outputs);
        char error[256] = "";
        check({prefix}_predict_words(words.data(), events(words.size()), result.data(), 0, error, sizeof error), error);
        return result;
    }}

    static std::string info() {{ return {prefix}_info(); }}

  private:
    static size_t events(size_t size) {{
        if (size % inputs) throw std::invalid_argument(std::to_string(size) + " values are no whole number of events");
        return size / inputs;
    }}
    static void check(int status, const char *error) {{
        if (status) throw std::invalid_argument(error);
    }}
}};

}}  // namespace {prefix}
"""


def python_module(names: Names) -> str:
    return f'''"""{names.name}, version {names.version}: emulator of the firmware, bit by bit. Needs numpy and the library beside."""

import ctypes
import json
import platform
from pathlib import Path

import numpy as np

PREFIX = "{names.prefix}"
LIBRARY = "{names.library}"


class Emulator:
    """The network of this version; `library` is the compiled emulator (by default the one beside this file,
    else the one that was shipped for this platform)."""

    def __init__(self, library=None):
        here = Path(__file__).resolve().parent
        built_for = f"{{platform.system()}}-{{platform.machine()}}".lower()
        places = [Path(library)] if library else [here / LIBRARY, here / "prebuilt" / built_for / LIBRARY]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise FileNotFoundError(f"{{places[0]}}: no such library; `make` beside {{Path(__file__).name}} compiles it")
        self._library = ctypes.CDLL(str(path))
        self._call = {{name: getattr(self._library, f"{{PREFIX}}_{{name}}") for name in ("predict", "predict_words")}}
        for call in self._call.values():
            call.argtypes = [
                ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_uint, ctypes.c_char_p, ctypes.c_size_t
            ]
            call.restype = ctypes.c_int
        info = getattr(self._library, f"{{PREFIX}}_info")
        info.argtypes, info.restype = [], ctypes.c_char_p
        self.info = json.loads(info().decode())
        self.n_in, self.n_out = self.info["inputs"], self.info["outputs"]

    def predict(self, values, rounded=False, flags=0):
        """Outputs (n, n_out) in float64 for values (n, n_in); ValueError for values off the grid, unless `rounded`."""
        return self._run("predict", values, np.float64, np.float64, int(bool(rounded)) | flags)

    def predict_words(self, words, flags=0):
        """Outputs (n, n_out) in int64 for integer words (n, n_in)."""
        words = np.asarray(words)
        if words.dtype.kind not in "iu":
            raise ValueError(f"words are integers, not {{words.dtype}}")
        if words.size and (words.min() < -(2**31) or words.max() >= 2**31):
            raise ValueError(f"words of {{words.min()}} to {{words.max()}} are not on the grid of {{self.info['input']['type']}}")
        return self._run("predict_words", words, np.int32, np.int64, flags)

    def _run(self, name, values, taken, given, flags):
        values = np.ascontiguousarray(values, dtype=taken)
        if values.ndim != 2 or values.shape[1] != self.n_in:
            raise ValueError(f"an array (n, {{self.n_in}}) is needed, not {{values.shape}}")
        result = np.empty((len(values), self.n_out), dtype=given)
        error = ctypes.create_string_buffer(256)
        status = self._call[name](values.ctypes.data, len(values), result.ctypes.data, flags, error, len(error))
        if status:
            raise ValueError(error.value.decode())
        return result
'''


def symbols(names: Names) -> str:
    """A version script for the linker: what is not listed stays inside the library."""
    listed = "".join(f"    {names.prefix}_{name};\n" for name in ("predict", "predict_words", "info"))
    return f"{{\n  global:\n{listed}  local:\n    *;\n}};\n"


def check(names: Names) -> str:
    return f"""// check WORDS OUTPUTS  compares the emulator with expected outputs
// check WORDS          prints its outputs
// Integers in plain text, a line for each event.
#include "{names.prefix}.hpp"

#include <fstream>
#include <iostream>

template <class T> static std::vector<T> read(const char *name) {{
    std::ifstream file(name);
    std::vector<T> values;
    for (T value; file >> value;) values.push_back(value);
    if (!file.eof()) std::cerr << name << ": can't be read\\n", exit(2);
    return values;
}}

int main(int argc, char **argv) {{
    if (argc != 2 && argc != 3) return std::cerr << "usage: check WORDS [OUTPUTS]\\n", 2;
    typedef {names.prefix}::Emulator Emulator;
    try {{
        const std::vector<int64_t> found = Emulator::predict_words(read<int32_t>(argv[1]));
        for (size_t i = 0; argc == 2 && i < found.size(); i++)
            std::cout << found[i] << ((i + 1) % Emulator::outputs ? ' ' : '\\n');
        if (argc == 2) return 0;
        const std::vector<int64_t> expected = read<int64_t>(argv[2]);
        if (found.empty() || found.size() != expected.size())
            return std::cerr << found.size() << " outputs, and " << expected.size() << " are expected\\n", 1;
        size_t different = 0;
        for (size_t i = 0; i < found.size(); i += Emulator::outputs)
            different += !std::equal(&found[i], &found[i] + Emulator::outputs, &expected[i]);
        std::cout << "emulator: " << found.size() / Emulator::outputs << " vectors, " << different << " differ\\n";
        return different != 0;
    }} catch (const std::exception &error) {{
        return std::cerr << error.what() << "\\n", 1;
    }}
}}
""".replace("#include <iostream>", "#include <algorithm>\n#include <cstdlib>\n#include <iostream>")


def makefile(names: Names) -> str:
    prefix = names.prefix
    return f"""# The emulator as a library for C, C++ and Python (Linux, g++ or clang++).
CXX ?= g++
CXXFLAGS ?= {" ".join(FLAGS)}

.PHONY: all check clean

all: {names.library}

{names.library}: {prefix}.cpp {prefix}.h {prefix}.map
	$(CXX) $(CXXFLAGS) -shared -Wl,--version-script={prefix}.map -Wl,-soname,{names.library} {prefix}.cpp -o $@

check: check_emulator
	./check_emulator $(WORDS) $(OUTPUTS)

check_emulator: check.cpp {prefix}.cpp {prefix}.h {prefix}.hpp
	$(CXX) -std=c++17 -O3 -Wno-psabi check.cpp {prefix}.cpp -o $@

clean:
	rm -f {names.library} check_emulator
"""
