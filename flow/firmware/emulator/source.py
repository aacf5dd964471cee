"""The C++ of an emulator: the kernels, a network's numbers as tables, and a C interface with names of its own."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from flow.firmware.emulator import steps
from flow.firmware.emulator.kernels import KERNELS
from flow.firmware.emulator.lanes import Buffer
from flow.firmware.emulator.names import Names
from flow.firmware.emulator.program import Program
from flow.firmware.outputs import Argmax, Softmax, Table

_CACHE_BYTES = 24 * 1024  # the values of a block of events should stay in a core's own memory
_LANES = (64, 32)  # 32 of 16 bits fill the widest registers
_PER_LINE = 24

_INTERFACE = r"""
struct Block { char *memory; int32_t *words; };

#ifndef FLOW_X86
enum { kNoAvx512 = 0, kNoAvx2 = 0 };
#else
enum { kNoAvx512 = 0x100, kNoAvx2 = 0x200 };
#endif
enum { kRound = 1 };
enum Status { kFine = 0, kOffGrid = 1, kNoMemory = 2, kNullPointer = 3 };

FLOW_INLINE double clipped(double v) {  // what is no number becomes the lowest word, and is found out behind this
    v = v >= kWordLow ? v : kWordLow;
    return v <= kWordHigh ? v : kWordHigh;
}

// The integer words of `count` values; false where one of them is off the grid.
FLOW_INLINE bool words_of(const double *values, size_t count, int32_t *words, bool rounded) {
    const double shift = 6755399441055744.0;  // 1.5 * 2**52: adding it rounds to whole numbers, ties to even
    bool fine = true;
    if (rounded)
        for (size_t i = 0; i < count; i++) {
            const double v = values[i] * kWordScale;
            words[i] = int32_t((clipped(v) + shift) - shift);
            fine &= v == v;
        }
    else
        for (size_t i = 0; i < count; i++) {
            const double v = values[i] * kWordScale;
            words[i] = int32_t(clipped(v));
            fine &= double(words[i]) == v;
        }
    return fine;
}
FLOW_INLINE bool words_of(const int32_t *values, size_t count, int32_t *words, bool) {
    bool fine = true;
    for (size_t i = 0; i < count; i++) {
        words[i] = values[i];
        fine &= values[i] >= int32_t(kWordLow) && values[i] <= int32_t(kWordHigh);
    }
    return fine;
}

FLOW_INLINE void give(double *out, int64_t value) { *out = double(value) * kResultStep; }
FLOW_INLINE void give(int64_t *out, int64_t value) { *out = value; }

template <int B, class In, class Out>
FLOW_INLINE Status all(const In *values, size_t n, Out *out, bool rounded, Block block, size_t *where) {
    for (size_t done = 0; done < n; done += kLanes) {
        const size_t events = n - done < size_t(kLanes) ? n - done : size_t(kLanes);
        if (!words_of(values + done * kInputs, events * kInputs, block.words, rounded)) {
            size_t i = 0;
            while (words_of(values + done * kInputs + i, 1, block.words, rounded)) i++;
            return *where = done * kInputs + i, kOffGrid;
        }
        Word *in = reinterpret_cast<Word *>(block.memory + kWordOffset * kLanes);
        for (size_t i = 0; i < kInputs; i++) {
            for (size_t l = 0; l < events; l++) put(in + i * kLanes + l, Word(block.words[l * kInputs + i]));
            for (size_t l = events; l < size_t(kLanes); l++) put(in + i * kLanes + l, Word(0));
        }
        forward<B>(block.memory);
        const Result *result = reinterpret_cast<const Result *>(block.memory + kResultOffset * kLanes);
        for (size_t l = 0; l < events; l++)
            for (size_t o = 0; o < kOutputs; o++) give(out + (done + l) * kOutputs + o, get(result + o * kLanes + l));
    }
    return kFine;
}

#ifdef FLOW_X86
template <class In, class Out>
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
Status all_avx512(const In *values, size_t n, Out *out, bool rounded, Block block, size_t *where) {
    return all<64>(values, n, out, rounded, block, where);
}
template <class In, class Out>
__attribute__((target("avx2")))
Status all_avx2(const In *values, size_t n, Out *out, bool rounded, Block block, size_t *where) {
    return all<32>(values, n, out, rounded, block, where);
}
#endif
template <class In, class Out>
Status all_plain(const In *values, size_t n, Out *out, bool rounded, Block block, size_t *where) {
    return all<16>(values, n, out, rounded, block, where);
}

template <class In, class Out>
Status chosen(const In *values, size_t n, Out *out, unsigned flags, Block block, size_t *where) {
    const bool rounded = flags & kRound;
#ifdef FLOW_X86
    const bool wide = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
    if (wide && !(flags & kNoAvx512)) return all_avx512(values, n, out, rounded, block, where);
    if (__builtin_cpu_supports("avx2") && !(flags & kNoAvx2)) return all_avx2(values, n, out, rounded, block, where);
#endif
    return all_plain(values, n, out, rounded, block, where);
}

void say(char *error, size_t size, const char *format, unsigned long event, unsigned long input, double value) {
    if (error && size) snprintf(error, size, format, event, input, value, kWordType);
}

template <class In, class Out>
int predict(const In *values, size_t n, Out *out, unsigned flags, char *error, size_t error_size) {
    if (n == 0) return kFine;
    if (!values || !out) return say(error, error_size, "a null pointer was given", 0, 0, 0), kNullPointer;
    const size_t arena = kArena * kLanes, words = kInputs * kLanes * sizeof(int32_t);
    char *memory = static_cast<char *>(malloc(arena + words + 64));
    if (!memory) return say(error, error_size, "no memory is left", 0, 0, 0), kNoMemory;
    char *aligned = memory + (64 - reinterpret_cast<uintptr_t>(memory) % 64) % 64;
    size_t where = 0;
    const Block block = {aligned, reinterpret_cast<int32_t *>(aligned + arena)};
    const Status status = chosen(values, n, out, flags, block, &where);
    free(memory);
    if (status == kOffGrid)
        say(error, error_size, "event %lu, input %lu: %.17g is not on the grid of %s",
            static_cast<unsigned long>(where / kInputs), static_cast<unsigned long>(where % kInputs), double(values[where]));
    return status;
}

}  // namespace

extern "C" {
PREFIX_API int PREFIX_predict(const double *values, size_t n, double *outputs, unsigned flags, char *error,
                              size_t error_size) {
    return predict(values, n, outputs, flags, error, error_size);
}
PREFIX_API int PREFIX_predict_words(const int32_t *words, size_t n, int64_t *outputs, unsigned flags, char *error,
                                    size_t error_size) {
    return predict(words, n, outputs, flags & ~unsigned(kRound), error, error_size);
}
PREFIX_API const char *PREFIX_info(void) { return kInfo; }
}
"""


def source(program: Program, names: Names, info: str) -> str:
    """The C++17 file of a program; `info` is the JSON text that it tells of itself."""
    lanes = _lanes(program)
    tables, calls = [], []
    for number, step in enumerate(program.steps):
        found, call = _step(number, step, program.buffers)
        tables += found
        calls += [f"    // {step.name}", *(f"    {line}" for line in call)]
    head = f"""// {names.name}, version {names.version}: the network in integers, {lanes} events at a time. See {names.prefix}.h.
#include "{names.prefix}.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace {{

constexpr int kLanes = {lanes};
{_constants(program)}
const char kInfo[] = {_literal(info)};
"""
    body = "\n".join(["template <int B> FLOW_INLINE void forward(char *arena) {", *calls, "}"])
    interface = _INTERFACE.replace("PREFIX_API", f"{names.prefix.upper()}_API").replace("PREFIX", names.prefix)
    return "\n".join([head + KERNELS, *tables, body]) + "\n" + interface


def _lanes(program: Program) -> int:
    return next((lanes for lanes in _LANES if lanes * program.arena <= _CACHE_BYTES), _LANES[-1])


def _constants(program: Program) -> str:
    words, result = program.buffers[program.inputs], program.buffers[program.outputs]
    form = program.words
    low, high = round(form.low / form.step), round(form.high / form.step)
    return f"""constexpr size_t kInputs = {program.n_in}, kOutputs = {program.n_out}, kArena = {program.arena};
constexpr size_t kWordOffset = {words.offset}, kResultOffset = {result.offset};
constexpr double kWordLow = {low}.0, kWordHigh = {high}.0, kWordScale = {1 / form.step!r}, kResultStep = {program.result.step!r};
typedef {_type(words)} Word;
typedef {_type(result)} Result;
const char kWordType[] = "{form}";"""


Code = tuple[list[str], list[str]]  # the tables of a step, and the calls that compute it


def _step(number: int, step: steps.Step, buffers: dict[str, Buffer]) -> Code:
    return _WRITERS[type(step)](number, step, buffers)


def _sum(number: int, step: steps.Sum, buffers: dict[str, Buffer]) -> Code:
    source, target = buffers[step.source], buffers[step.target]
    terms = [f"{{{weight}, {offset}}}" for weight, offset in zip(step.weights, step.offsets)]
    tables = [
        _table(f"Term<{_type(target)}>", f"kTerms{number}", terms or ["{0, 0}"]),
        _table("uint32_t", f"kStarts{number}", step.starts),
        _table(_type(target), f"kBias{number}", step.bias),
        _table("uint32_t", f"kBases{number}", step.bases),
    ]
    ends, sizes = f"{_pointer(source, True)}, {_pointer(target)}", (len(step.bias), len(step.bases))
    call = f"sum<B>({ends}, kTerms{number}, kStarts{number}, kBias{number}, {sizes[0]}, kBases{number}, {sizes[1]});"
    return tables, [call]


def _affine(number: int, step: steps.Affine, buffers: dict[str, Buffer]) -> Code:
    source, target = buffers[step.source], buffers[step.target]
    kind, channels = _type(target), len(step.factor)
    tables = [_table(kind, f"kFactor{number}", step.factor), _table(kind, f"kBias{number}", step.bias)]
    ends, positions = f"{_pointer(source, True)}, {_pointer(target)}", target.size // channels
    return tables, [f"affine<B>({ends}, kFactor{number}, kBias{number}, {channels}, {positions});"]


def _window(number: int, step: steps.Window, buffers: dict[str, Buffer]) -> Code:
    tables = [
        _table("uint32_t", f"kOffsets{number}", step.offsets),
        _table("uint32_t", f"kBases{number}", step.bases),
    ]
    ends = f"{_pointer(buffers[step.source], True)}, {_pointer(buffers[step.target])}"
    windows = f"kOffsets{number}, {len(step.offsets)}, kBases{number}, {len(step.bases)}, {step.channels}"
    return tables, [f"window<B, {'true' if step.operation == 'max' else 'false'}>({ends}, {windows});"]


def _add(number: int, step: steps.Add, buffers: dict[str, Buffer]) -> Code:
    target = buffers[step.target]
    sources = f"{_pointer(buffers[step.left], True)}, {_pointer(buffers[step.right], True)}"
    factors = [_number(1 << shift, target.bits) for shift in (step.left_shift, step.right_shift)]
    return [], [f"add<B>({sources}, {_pointer(target)}, {target.size}, {', '.join(factors)});"]


def _move(number: int, step: steps.Move, buffers: dict[str, Buffer]) -> Code:
    target = buffers[step.target]
    tables = [_table("uint32_t", f"kFrom{number}", step.origin), _table("uint32_t", f"kTo{number}", step.to)]
    ends, factor = f"{_pointer(buffers[step.source], True)}, {_pointer(target)}", _number(1 << step.shift, target.bits)
    calls = [f"move<B>({ends}, kFrom{number}, kTo{number}, {len(step.to)}, {factor});"]
    if len(step.zeros):
        tables.append(_table("uint32_t", f"kZeros{number}", step.zeros))
        calls.append(f"clear({_pointer(target)}, kZeros{number}, {len(step.zeros)});")
    return tables, calls


def _decide(number: int, step: steps.Decide, buffers: dict[str, Buffer]) -> Code:
    source, target, spec = buffers[step.source], buffers[step.target], step.spec
    ends = f"{_pointer(source, True)}, {_pointer(target)}, {source.size}"
    match spec:
        case Argmax():
            bits = max(source.bits, target.bits)
            return [], [f"argmax<B, int{bits}_t>({ends});"]
        case Table():
            tables = [_table(_type(target), f"kEntries{number}", spec.entries)]
            return tables, [f"look_up({ends}, {spec.shift}, {spec.first}, {spec.last}, kEntries{number});"]
        case Softmax():
            tables = [
                _table("int64_t", f"kPowers{number}", spec.powers),
                _table("int64_t", f"kInverse{number}", spec.inverse),
            ]
            shares = f"{spec.shift}, {spec.sum_shift}, {spec.drop}, {spec.last}, {spec.sum_first}, {spec.top}"
            return tables, [f"softmax({ends}, Shares{{{shares}}}, kPowers{number}, kInverse{number});"]
    raise AssertionError(spec)


def _round(number: int, step: steps.Round, buffers: dict[str, Buffer]) -> Code:
    kind = f"int{step.bits}_t"
    limits = [
        flag
        for flag, there in (
            ("LOW", step.low is not None),
            ("HIGH", step.high is not None),
            ("WRAP_SIGNED", step.wrap and step.wrap_signed),
            ("WRAP_UNSIGNED", step.wrap and not step.wrap_signed),
        )
        if there
    ]
    arguments = f"{kind}, {step.shift}, {step.rounding}, {' | '.join(limits) or 'NONE'}, {step.wrap}"
    source, target = buffers[step.source], buffers[step.target]
    ends = f"{_pointer(source, True)}, {_pointer(target)}, {target.size}"
    low, high = (_number(limit or 0, step.bits) for limit in (step.low, step.high))
    return [], [f"quantize<B, {arguments}>({ends}, {low}, {high});"]


_WRITERS: dict[type, Callable[..., Code]] = {
    steps.Sum: _sum,
    steps.Affine: _affine,
    steps.Round: _round,
    steps.Window: _window,
    steps.Add: _add,
    steps.Move: _move,
    steps.Decide: _decide,
}


def _type(buffer: Buffer) -> str:
    return f"int{buffer.bits}_t"


def _pointer(buffer: Buffer, constant: bool = False) -> str:
    return f"reinterpret_cast<{'const ' * constant}{_type(buffer)} *>(arena + {buffer.offset} * kLanes)"


def _number(value: int, bits: int) -> str:
    return f"int{bits}_t({value}{'LL' * (bits == 64)})"


def _table(kind: str, name: str, values: Sequence | np.ndarray) -> str:
    rows = list(map(str, values))
    lines = [", ".join(rows[i : i + _PER_LINE]) for i in range(0, len(rows), _PER_LINE)]
    return f"const {kind} {name}[] = {{\n" + ",\n".join(lines) + "};"


def _literal(text: str) -> str:
    """A C string, broken into lines."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return "\n    ".join(f'"{part}"' for part in _chunks(escaped, 100))


def _chunks(text: str, size: int) -> Iterable[str]:
    while text:
        end = min(size, len(text))
        while text[end - 1] == "\\" and end < len(text):
            end += 1
        yield text[:end]
        text = text[end:]
