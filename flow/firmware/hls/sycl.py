"""A stand-in for the few parts of SYCL that hls4ml's oneAPI projects use, so that plain g++ compiles and runs them.

Pipes are queues without a bound and tasks run to their end one after the other, in the order of the layers: the
arithmetic is the project's own, the timing is not. The fixed-point types are Siemens' ac_types (Apache 2.0), of
which Intel's compiler has a copy of its own.
"""

import shutil
from pathlib import Path

FOLDER = "standin"
_TYPES = ("include/ac_fixed.h", "include/ac_int.h", "LICENSE")

_SYCL = """// Stands in for <sycl/sycl.hpp> and its extensions in the C simulation alone; icpx has the real one.
#ifndef FLOW_CSIM_SYCL_HPP
#define FLOW_CSIM_SYCL_HPP

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <string>
#include <vector>

#define SYCL_EXTERNAL

namespace csim {

inline bool tracing = false;
inline std::map<std::string, std::vector<double>> shown;

inline void start(bool traced) {
    tracing = traced;
    shown.clear();
}

template <class Values> void append(std::vector<double> &to, const Values &values) {
    for (const auto &value : values) to.push_back(value.to_double());
}

template <class Values> void show(const char *layer, const Values &values) {
    if (tracing) append(shown[layer], values);
}

inline void copy(const char *layer, const std::vector<double> &from, double *to, size_t size) {
    if (from.size() != size) {
        fprintf(stderr, "error: layer %s gave %zu values, not %zu\\n", layer, from.size(), size);
        exit(2);
    }
    for (size_t i = 0; i < size; i++) to[i] = from[i];
}

inline void take(const char *layer, double *to, size_t size) { copy(layer, shown[layer], to, size); }

template <class Pipe> void take(const char *layer, double *to, size_t size) {
    copy(layer, Pipe::passed, to, size);
    Pipe::passed.clear();
}

} // namespace csim

namespace sycl {

struct queue {};

namespace ext {

namespace oneapi {
namespace experimental {
struct properties_tag {};
template <class... Property> struct properties {
    constexpr properties(Property...) {}
};
} // namespace experimental
} // namespace oneapi

namespace intel {
namespace experimental {
struct property {};
template <int Cycles> inline constexpr property ready_latency{};
template <int... Any> inline constexpr property streaming_interface{};
template <int... Any> inline constexpr property pipelined{};

template <class Name, class Data, int32_t Capacity = 0, class Properties = property, class... More> struct pipe {
    inline static std::deque<Data> waiting;
    inline static std::vector<double> passed; // while traced

    static void write(const Data &data) {
        waiting.push_back(data);
        if (csim::tracing) csim::append(passed, data);
    }

    static Data read() {
        if (waiting.empty()) {
            fprintf(stderr, "error: a layer reads from an empty pipe\\n");
            exit(2);
        }
        Data data = waiting.front();
        waiting.pop_front();
        return data;
    }

    static void write(queue &, const Data &data) { write(data); }
    static Data read(queue &) { return read(); }
};

template <auto &function> struct task_sequence {
    template <class... Argument> void async(const Argument &...arguments) { function(arguments...); }
};
} // namespace experimental
} // namespace intel

} // namespace ext
} // namespace sycl

#endif
"""

_TASKS = """// The last header in front of the weights: they are constexpr objects, which ac_types' classes can't be.
#include <sycl/sycl.hpp>
#define constexpr const
"""

_HEADERS = {
    "sycl/sycl.hpp": _SYCL,
    "sycl/ext/intel/fpga_extensions.hpp": "#include <sycl/sycl.hpp>\n",
    "sycl/ext/intel/experimental/task_sequence.hpp": _TASKS,
    "sycl/ext/intel/ac_types/ac_int.hpp": '#include "../../../../ac_types/include/ac_int.h"\n',
    "sycl/ext/intel/ac_types/ac_fixed.hpp": '#include "../../../../ac_types/include/ac_fixed.h"\n',
    "sycl/ext/intel/ac_types/ac_fixed_math.hpp": '#include "ac_fixed.hpp"\n',
}


# A constexpr object inside a header, the only one there is; what icpx compiles stays as it was.
_CONSTANT = "    constexpr auto padds = zero_array<data_arr_T>();\n"
_GUARDED = f"#ifdef FLOW_CSIM\n{_CONSTANT.replace('constexpr', 'const')}#else\n{_CONSTANT}#endif\n"


def write(folder: Path, types: Path) -> None:
    """Write the stand-in into `folder`/standin, with what it needs of the ac_types in the folder `types`."""
    for path in (folder / "src" / "firmware" / "nnet_utils").glob("nnet_conv?d_stream.h"):
        path.write_text(path.read_text().replace(_CONSTANT, _GUARDED))
    for name, text in _HEADERS.items():
        path = folder / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in _TYPES:
        path = folder / FOLDER / "ac_types" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(types / name, path)
