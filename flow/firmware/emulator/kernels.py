"""The part of an emulator's C++ that is the same for all networks."""

# Vectors are never wider than the machine's: with wider ones GCC falls back to single elements here and there.
KERNELS = r"""
#if defined(__GNUC__) && !defined(FLOW_PORTABLE)
#define FLOW_VECTORS 1
#define FLOW_INLINE inline __attribute__((always_inline))
#pragma GCC diagnostic ignored "-Wpsabi"
#else
#define FLOW_INLINE inline
#endif
#if defined(FLOW_VECTORS) && defined(__x86_64__)
#define FLOW_X86 1
#endif

template <class T, int N> struct Type {
#ifdef FLOW_VECTORS
    typedef T vector __attribute__((vector_size(N * sizeof(T))));
#else
    struct vector {
        T v[N];
        T &operator[](int i) { return v[i]; }
        T operator[](int i) const { return v[i]; }
    };
#endif
};
template <class T, int N> using Vec = typename Type<T, N>::vector;

template <class T, int N> FLOW_INLINE Vec<T, N> splat(T x) {  // by way of memory: GCC would insert lane by lane
    T lanes[N];
    for (int i = 0; i < N; i++) lanes[i] = x;
    Vec<T, N> r;
    memcpy(&r, lanes, sizeof r);
    return r;
}
template <class T, int N> FLOW_INLINE Vec<T, N> plus(Vec<T, N> a, Vec<T, N> b) {
#ifdef FLOW_VECTORS
    return a + b;
#else
    for (int i = 0; i < N; i++) a[i] = T(a[i] + b[i]);
    return a;
#endif
}
template <class T, int N> FLOW_INLINE Vec<T, N> times(Vec<T, N> a, T b) {
#ifdef FLOW_VECTORS
    return a * b;
#else
    for (int i = 0; i < N; i++) a[i] = T(a[i] * b);
    return a;
#endif
}
template <class T, int N> FLOW_INLINE Vec<T, N> right(Vec<T, N> a, int n) {
#ifdef FLOW_VECTORS
    return a >> T(n);
#else
    for (int i = 0; i < N; i++) a[i] = T(a[i] >> n);
    return a;
#endif
}
template <class T, int N> FLOW_INLINE Vec<T, N> low_bits(Vec<T, N> a, T mask) {
#ifdef FLOW_VECTORS
    return a & mask;
#else
    for (int i = 0; i < N; i++) a[i] = T(a[i] & mask);
    return a;
#endif
}
template <class T, int N> FLOW_INLINE Vec<T, N> larger(Vec<T, N> a, Vec<T, N> b) {
#ifdef FLOW_VECTORS
    return a > b ? a : b;
#else
    for (int i = 0; i < N; i++) a[i] = a[i] > b[i] ? a[i] : b[i];
    return a;
#endif
}
template <class T, int N> FLOW_INLINE Vec<T, N> smaller(Vec<T, N> a, Vec<T, N> b) {
#ifdef FLOW_VECTORS
    return a < b ? a : b;
#else
    for (int i = 0; i < N; i++) a[i] = a[i] < b[i] ? a[i] : b[i];
    return a;
#endif
}
// Lane by lane, x where a > b, else y.
template <class T, int N> FLOW_INLINE Vec<T, N> where_larger(Vec<T, N> a, Vec<T, N> b, Vec<T, N> x, Vec<T, N> y) {
#ifdef FLOW_VECTORS
    return a > b ? x : y;
#else
    for (int i = 0; i < N; i++) x[i] = a[i] > b[i] ? x[i] : y[i];
    return x;
#endif
}
// N lanes of memory of type T as lanes of type To, and back.
template <class To, int N, class T> FLOW_INLINE Vec<To, N> load(const T *from) {
    Vec<T, N> raw;
    memcpy(&raw, from, sizeof raw);
#ifdef FLOW_VECTORS
    return __builtin_convertvector(raw, Vec<To, N>);
#else
    Vec<To, N> r;
    for (int i = 0; i < N; i++) r[i] = To(raw[i]);
    return r;
#endif
}
template <class T, int N, class To> FLOW_INLINE void store(To *to, Vec<T, N> value) {
#ifdef FLOW_VECTORS
    Vec<To, N> raw = __builtin_convertvector(value, Vec<To, N>);
#else
    Vec<To, N> raw;
    for (int i = 0; i < N; i++) raw[i] = To(value[i]);
#endif
    memcpy(to, &raw, sizeof raw);
}

// Single lanes; memory is used again for other types, so that only copies may touch it.
template <class T> FLOW_INLINE T get(const T *from) {
    T x;
    memcpy(&x, from, sizeof x);
    return x;
}
template <class T> FLOW_INLINE void put(T *to, T x) { memcpy(to, &x, sizeof x); }

template <class T> struct Term { T weight; uint32_t offset; };

// B: bytes of a vector register. Rows of kLanes integers, one for each event, stand for an element.

template <int B, class TI, class TO>
FLOW_INLINE void sum(const TI *in, TO *out, const Term<TO> *terms, const uint32_t *starts, const TO *bias,
                     size_t filters, const uint32_t *bases, size_t positions) {
    constexpr int N = B / sizeof(TO), kVectors = kLanes / N, kHeld = kVectors < 4 ? kVectors : 4;
    for (size_t p = 0; p < positions; p++) {
        const TI *window = in + size_t(bases[p]) * kLanes;
        for (size_t f = 0; f < filters; f++, out += kLanes)
            for (int first = 0; first < kVectors; first += kHeld) {
                Vec<TO, N> total[kHeld];
                for (int i = 0; i < kHeld; i++) total[i] = splat<TO, N>(bias[f]);
                for (size_t k = starts[f]; k < starts[f + 1]; k++) {
                    const TI *x = window + size_t(terms[k].offset) * kLanes + first * N;
                    const TO weight = terms[k].weight;
                    for (int i = 0; i < kHeld; i++)
                        total[i] = plus<TO, N>(total[i], times<TO, N>(load<TO, N>(x + i * N), weight));
                }
                for (int i = 0; i < kHeld; i++) store<TO, N>(out + (first + i) * N, total[i]);
            }
    }
}

template <int B, class TI, class TO>
FLOW_INLINE void affine(const TI *in, TO *out, const TO *factor, const TO *bias, size_t channels, size_t positions) {
    constexpr int N = B / sizeof(TO);
    for (size_t p = 0; p < positions; p++)
        for (size_t c = 0; c < channels; c++, in += kLanes, out += kLanes)
            for (int i = 0; i < kLanes; i += N)
                store<TO, N>(out + i, plus<TO, N>(times<TO, N>(load<TO, N>(in + i), factor[c]), splat<TO, N>(bias[c])));
}

enum Rounding { TRN, RND, RND_CONV, RND_INF };
enum Limits { NONE = 0, LOW = 1, HIGH = 2, WRAP_SIGNED = 4, WRAP_UNSIGNED = 8 };

template <int B, class TC, int kShift, Rounding kRounding, int kLimits, int kWrap, class TI, class TO>
FLOW_INLINE void quantize(const TI *in, TO *out, size_t count, TC low, TC high) {
    constexpr int N = B / sizeof(TC), kBits = 8 * sizeof(TC);
    constexpr TC kHalf = kShift > 0 ? TC(TC(1) << (kShift > 0 ? kShift - 1 : 0)) : TC(0);
    for (size_t i = 0; i < count * kLanes; i += N) {
        Vec<TC, N> x = load<TC, N>(in + i);
        if constexpr (kShift < 0) x = times<TC, N>(x, TC(TC(1) << (kShift < 0 ? -kShift : 0)));
        if constexpr (kShift > 0) {
            if constexpr (kRounding == RND) x = plus<TC, N>(x, splat<TC, N>(kHalf));
            if constexpr (kRounding == RND_CONV)  // half a step less one, and one more where the result would be odd
                x = plus<TC, N>(plus<TC, N>(x, splat<TC, N>(TC(kHalf - 1))), low_bits<TC, N>(right<TC, N>(x, kShift), TC(1)));
            if constexpr (kRounding == RND_INF)
                x = plus<TC, N>(plus<TC, N>(x, splat<TC, N>(kHalf)), right<TC, N>(x, kBits - 1));
            x = right<TC, N>(x, kShift);
        }
        if constexpr (kLimits & LOW) x = larger<TC, N>(x, splat<TC, N>(low));
        if constexpr (kLimits & HIGH) x = smaller<TC, N>(x, splat<TC, N>(high));
        if constexpr (kLimits & (WRAP_SIGNED | WRAP_UNSIGNED)) {
            x = low_bits<TC, N>(x, TC((uint64_t(1) << kWrap) - 1));
            if constexpr (kLimits & WRAP_SIGNED)  // the top bit weighs minus as much: flip it, and take its weight away
                x = plus<TC, N>(low_bits<TC, N>(plus<TC, N>(x, splat<TC, N>(TC(uint64_t(1) << (kWrap - 1)))),
                                                TC((uint64_t(1) << kWrap) - 1)),
                                splat<TC, N>(TC(-(int64_t(1) << (kWrap - 1)))));
        }
        store<TC, N>(out + i, x);
    }
}

template <int B, bool kMax, class TI, class TO>
FLOW_INLINE void window(const TI *in, TO *out, const uint32_t *offsets, size_t size, const uint32_t *bases,
                        size_t positions, size_t channels) {
    constexpr int N = B / sizeof(TO);
    for (size_t p = 0; p < positions; p++)
        for (size_t c = 0; c < channels; c++, out += kLanes)
            for (int i = 0; i < kLanes; i += N) {
                const TI *x = in + (size_t(bases[p]) + c) * kLanes + i;
                Vec<TO, N> found = load<TO, N>(x + size_t(offsets[0]) * kLanes);
                for (size_t k = 1; k < size; k++) {
                    const Vec<TO, N> next = load<TO, N>(x + size_t(offsets[k]) * kLanes);
                    found = kMax ? larger<TO, N>(found, next) : plus<TO, N>(found, next);
                }
                store<TO, N>(out + i, found);
            }
}

template <int B, class TA, class TB, class TO>
FLOW_INLINE void add(const TA *a, const TB *b, TO *out, size_t count, TO factor_a, TO factor_b) {
    constexpr int N = B / sizeof(TO);
    for (size_t i = 0; i < count * kLanes; i += N)
        store<TO, N>(out + i, plus<TO, N>(times<TO, N>(load<TO, N>(a + i), factor_a), times<TO, N>(load<TO, N>(b + i), factor_b)));
}

template <int B, class TI, class TO>
FLOW_INLINE void move(const TI *in, TO *out, const uint32_t *origin, const uint32_t *to, size_t count, TO factor) {
    constexpr int N = B / sizeof(TO);
    for (size_t k = 0; k < count; k++)
        for (int i = 0; i < kLanes; i += N)
            store<TO, N>(out + size_t(to[k]) * kLanes + i, times<TO, N>(load<TO, N>(in + size_t(origin[k]) * kLanes + i), factor));
}

template <class TO> FLOW_INLINE void clear(TO *out, const uint32_t *to, size_t count) {
    for (size_t k = 0; k < count; k++) memset(out + size_t(to[k]) * kLanes, 0, kLanes * sizeof(TO));
}

// The index of the largest of `count` values, the first of equals.
template <int B, class TC, class TI, class TO> FLOW_INLINE void argmax(const TI *in, TO *out, size_t count) {
    constexpr int N = B / sizeof(TC);
    for (int i = 0; i < kLanes; i += N) {
        Vec<TC, N> best = load<TC, N>(in + i), index = splat<TC, N>(TC(0));
        for (size_t k = 1; k < count; k++) {
            const Vec<TC, N> next = load<TC, N>(in + k * kLanes + i);
            index = where_larger<TC, N>(next, best, splat<TC, N>(TC(k)), index);
            best = larger<TC, N>(next, best);
        }
        store<TC, N>(out + i, index);
    }
}

// entries[clip(word >> shift, first, last) - first]
template <class TI, class TO>
FLOW_INLINE void look_up(const TI *in, TO *out, size_t count, int shift, int64_t first, int64_t last, const TO *entries) {
    for (size_t i = 0; i < count * kLanes; i++) {
        const int64_t index = int64_t(get(in + i)) >> shift;
        put(out + i, entries[(index < first ? first : index > last ? last : index) - first]);
    }
}

struct Shares { int shift, sum_shift, drop; int64_t last, sum_first, top; };

// Powers of the distances to the largest, times the reciprocal of their sum.
template <class TI, class TO>
FLOW_INLINE void softmax(const TI *in, TO *out, size_t count, Shares s, const int64_t *powers, const int64_t *inverse) {
    for (int l = 0; l < kLanes; l++) {
        int64_t largest = get(in + l), sum = 0;
        for (size_t k = 1; k < count; k++) {
            const int64_t word = get(in + k * kLanes + l);
            largest = word > largest ? word : largest;
        }
        for (int pass = 0; pass < 2; pass++) {
            const int64_t factor = pass ? inverse[(sum >> s.sum_shift) - s.sum_first] : 0;
            for (size_t k = 0; k < count; k++) {
                const int64_t gap = (largest - get(in + k * kLanes + l)) >> s.shift;
                const int64_t power = powers[gap < s.last ? gap : s.last];
                const int64_t share = (power * factor + (int64_t(1) << (s.drop - 1))) >> s.drop;
                if (pass) put(out + k * kLanes + l, TO(share < s.top ? share : s.top));
                sum += power;
            }
        }
    }
}
"""
