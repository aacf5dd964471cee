#ifndef NNET_FLOW_OUTPUT_H_
#define NNET_FLOW_OUTPUT_H_

// What stands behind the logits: index of the largest, or tables of whole numbers made outside. Every step is integer
// arithmetic on the words of the fixed-point numbers; the configuration holds its constants and the types of its values.

#include "nnet_common.h"
#include "nnet_types.h"

namespace nnet {

#ifdef __AC_FIXED_H
template <class T> using flow_stream = ac_channel<T>;

template <class word_T, int bits, class data_T> word_T flow_word(const data_T &value) {
    return value.template slc<bits>(0);
}

template <int bits, class word_T, class res_T> void flow_set(res_T &value, const word_T &word) { value.set_slc(0, word); }
#else
template <class T> using flow_stream = hls::stream<T>;

template <class word_T, int bits, class data_T> word_T flow_word(const data_T &value) {
    #pragma HLS INLINE
    word_T word = 0;
    word.range(bits - 1, 0) = value.range(bits - 1, 0);
    return word;
}

template <int bits, class word_T, class res_T> void flow_set(res_T &value, const word_T &word) {
    #pragma HLS INLINE
    value.range(bits - 1, 0) = word.range(bits - 1, 0);
}
#endif

// The index of the largest, the first of equals.
template <class data_T, class res_T, typename CONFIG_T> void flow_argmax(data_T data[CONFIG_T::n_in], res_T res[1]) {
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    data_T largest = data[0];
    typename CONFIG_T::result_word_t at = 0;
    #pragma hls_unroll
    for (unsigned i = 1; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        if (data[i] > largest) {
            largest = data[i];
            at = i;
        }
    }
    flow_set<CONFIG_T::result_bits>(res[0], at);
}

// table[clip(word >> shift, first, last) - first] for each value.
template <class data_T, class res_T, typename CONFIG_T>
void flow_table(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in],
                typename CONFIG_T::entries_t entries[CONFIG_T::n_entries]) {
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    #pragma HLS BIND_STORAGE variable=entries type=rom_np
    #pragma hls_unroll
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        typename CONFIG_T::index_t index = flow_word<typename CONFIG_T::word_t, CONFIG_T::word_bits>(data[i]);
        index >>= CONFIG_T::shift;
        if (index < CONFIG_T::first)
            index = CONFIG_T::first;
        if (index > CONFIG_T::last)
            index = CONFIG_T::last;
        typename CONFIG_T::index_t place = index - CONFIG_T::first;
        flow_set<CONFIG_T::result_bits>(res[i], entries[place.to_uint()]);
    }
}

// Powers of the distance to the largest, times the reciprocal of their sum.
template <class data_T, class res_T, typename CONFIG_T>
void flow_softmax(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in],
                  typename CONFIG_T::powers_t powers[CONFIG_T::n_powers],
                  typename CONFIG_T::inverse_t inverse[CONFIG_T::n_inverse]) {
    #pragma HLS PIPELINE II=CONFIG_T::reuse_factor
    #pragma HLS BIND_STORAGE variable=powers type=rom_np
    data_T largest = data[0];
    #pragma hls_unroll
    for (unsigned i = 1; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        if (data[i] > largest)
            largest = data[i];
    }
    typename CONFIG_T::word_t top = flow_word<typename CONFIG_T::word_t, CONFIG_T::word_bits>(largest);
    typename CONFIG_T::powers_t power[CONFIG_T::n_in];
    #pragma HLS ARRAY_PARTITION variable=power complete
    typename CONFIG_T::sum_t sum = 0;
    #pragma hls_unroll
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        typename CONFIG_T::gap_t gap = top - flow_word<typename CONFIG_T::word_t, CONFIG_T::word_bits>(data[i]);
        gap >>= CONFIG_T::shift;
        if (gap > CONFIG_T::n_powers - 1)
            gap = CONFIG_T::n_powers - 1;
        power[i] = powers[gap.to_uint()];
        sum += power[i];
    }
    typename CONFIG_T::sum_t place = sum;
    place >>= CONFIG_T::sum_shift;
    place -= CONFIG_T::sum_first;
    typename CONFIG_T::inverse_t factor = inverse[place.to_uint()];
    #pragma hls_unroll
    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        #pragma HLS UNROLL
        typename CONFIG_T::product_t share = power[i] * factor;
        share += CONFIG_T::half;
        share >>= CONFIG_T::drop;
        if (share > CONFIG_T::top)
            share = CONFIG_T::top;
        typename CONFIG_T::result_word_t word = share;
        flow_set<CONFIG_T::result_bits>(res[i], word);
    }
}

// The same for streams: all values of a word are read, then the whole result is written.
template <class data_T, typename CONFIG_T>
void flow_read(flow_stream<data_T> &data, typename data_T::value_type row[CONFIG_T::n_in]) {
    #pragma HLS INLINE
    for (unsigned i = 0; i < CONFIG_T::n_in / data_T::size; i++) {
        #pragma HLS PIPELINE
        data_T part = data.read();
        #pragma hls_unroll
        for (unsigned j = 0; j < data_T::size; j++) {
            #pragma HLS UNROLL
            row[i * data_T::size + j] = part[j];
        }
    }
}

template <class data_T, class res_T, typename CONFIG_T>
void flow_argmax(flow_stream<data_T> &data, flow_stream<res_T> &res) {
    typename data_T::value_type row[CONFIG_T::n_in];
    #pragma HLS ARRAY_PARTITION variable=row complete
    flow_read<data_T, CONFIG_T>(data, row);
    res_T out;
    flow_argmax<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(row, out.data);
    res.write(out);
}

template <class data_T, class res_T, typename CONFIG_T>
void flow_table(flow_stream<data_T> &data, flow_stream<res_T> &res,
                typename CONFIG_T::entries_t entries[CONFIG_T::n_entries]) {
    typename data_T::value_type row[CONFIG_T::n_in];
    #pragma HLS ARRAY_PARTITION variable=row complete
    flow_read<data_T, CONFIG_T>(data, row);
    res_T out;
    flow_table<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(row, out.data, entries);
    res.write(out);
}

template <class data_T, class res_T, typename CONFIG_T>
void flow_softmax(flow_stream<data_T> &data, flow_stream<res_T> &res,
                  typename CONFIG_T::powers_t powers[CONFIG_T::n_powers],
                  typename CONFIG_T::inverse_t inverse[CONFIG_T::n_inverse]) {
    typename data_T::value_type row[CONFIG_T::n_in];
    #pragma HLS ARRAY_PARTITION variable=row complete
    flow_read<data_T, CONFIG_T>(data, row);
    res_T out;
    flow_softmax<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(row, out.data, powers, inverse);
    res.write(out);
}

} // namespace nnet

#endif
