"""Names that the generated sources can carry: what C++ and Verilog keep for themselves, and what the sources use."""

import re

from flow.errors import BadInput

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

# C++17 with its alternative tokens
_CPP_WORDS = """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t class compl const
    const_cast constexpr continue decltype default delete do double dynamic_cast else enum explicit export extern
    false float for friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq
    private protected public register reinterpret_cast return short signed sizeof static static_assert static_cast
    struct switch template this thread_local throw true try typedef typeid typename union unsigned using virtual void
    volatile wchar_t while xor xor_eq
"""
_VERILOG_WORDS = """
    always and assign automatic begin buf bufif0 bufif1 case casex casez cell cmos config deassign default defparam
    design disable edge else end endcase endconfig endfunction endgenerate endmodule endprimitive endspecify endtable
    endtask event for force forever fork function generate genvar highz0 highz1 if ifnone incdir include initial
    inout input instance integer join large liblist library localparam macromodule medium module nand negedge nmos
    nor noshowcancelled not notif0 notif1 or output parameter pmos posedge primitive pull0 pull1 pulldown pullup
    pulsestyle_ondetect pulsestyle_onevent rcmos real realtime reg release repeat rnmos rpmos rtran rtranif0
    rtranif1 scalared showcancelled signed small specify specparam strong0 strong1 supply0 supply1 table task time
    tran tranif0 tranif1 tri tri0 tri1 triand trior trireg unsigned use uwire vectored wait wand weak0 weak1 while
    wire wor xnor xor logic bit byte int class package interface program type typedef enum struct union string void
    do final new null this static virtual with
"""
# What stands beside the top function at C++'s global scope: headers' names, macros, and those of the generated files.
_GLOBAL_WORDS = """
    std main nnet hls sycl ac ap_fixed ap_ufixed ap_int ap_uint ap_private ac_fixed ac_int ac_float ac_channel
    linux unix errno assert stdin stdout stderr size_t ssize_t time_t clock_t div_t ldiv_t float_t double_t ptrdiff_t
    int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t intptr_t uintptr_t max_align_t nullptr_t
    input_t result_t words result row inputs outputs n_in n_out in_step out_step evaluate compare next_row
    kInputs kOutputs kInputStep kOutputStep Layer kLayers defines parameters csim
"""
CPP, VERILOG, _GLOBAL = (frozenset(words.split()) for words in (_CPP_WORDS, _VERILOG_WORDS, _GLOBAL_WORDS))
_NUMBERED = re.compile(r"[bsw]\d+|(layer|config)\d+(_\w+)?")


def check(name: str, what: str) -> None:
    """Raise BadInput where a name can't be an identifier in C++ and Verilog; `input` is hls4ml's own.

    `what` has the name. A layer's stands in the sources with endings alone, so that fewer are taken there.
    """
    if not _NAME.fullmatch(name) or name == "input":
        raise BadInput(f"{what} {name!r}: the name must be a letter, then letters, digits or _, and not 'input'")
    if name in CPP:
        raise BadInput(f"{what} {name!r}: the name is a word of C++, which is not allowed; choose another one")
    if what == "layer":
        return
    if name.lower() in VERILOG:
        raise BadInput(f"{what} {name!r}: the name is a word of Verilog, which is not allowed; choose another one")
    if name in _GLOBAL or _NUMBERED.fullmatch(name):
        raise BadInput(
            f"{what} {name!r}: the generated sources use the name themselves, it is not allowed; choose another one"
        )
