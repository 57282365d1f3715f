/* The functions that exported C files are made of. Each part between two marks is copied where a network needs it, with $IN and
   $OUT replaced by types. `reference.py` computes the same integers in NumPy. */

/* == geometry == */
/* Values are stored as height x width x channels. Windows step over the input, which is padded with zeros. */
struct geometry {
    uint16_t in_height, in_width, in_channels;
    uint16_t out_height, out_width, out_channels;
    uint16_t kernel_height, kernel_width, stride_y, stride_x, pad_y, pad_x;
    uint16_t groups;
};

/* == fixed_point == */
/* value / 2^shift, rounded down. C leaves the right shift of negative numbers to the compiler; this does not. */
static int64_t shifted(int64_t value, int32_t shift)
{
    return value >= 0 ? value >> shift : ~(~value >> shift);
}

/* zero + product / 2^shift, rounded to the nearest integer, halves upwards, between low and high. */
static int32_t requantise(int64_t product, int32_t shift, int32_t zero, int32_t low, int32_t high)
{
    const int64_t value = shifted(product + ((int64_t)1 << (shift - 1)), shift) + zero;
    return value < low ? low : value > high ? high : (int32_t)value;
}

/* == standardise == */
static void standardise(const uint8_t *pixels, int8_t *out, int32_t count)
{
    int32_t i;
    for (i = 0; i < count; i++) {
        /* The offsets contain the half that rounds, and the zero. */
        const int64_t value = shifted(pixels[i] * input_factors[i % 3] + input_offsets[i % 3], 16);
        out[i] = (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
    }
}

/* == convolve == */
static void convolve_$IN_$OUT(const struct geometry *g, const $IN *in, int32_t in_zero, const int8_t *weights,
                              const int32_t *biases, const int32_t *mantissas, const uint8_t *shifts, $OUT *out,
                              int32_t out_zero, int32_t low, int32_t high)
{
    const int32_t inner = g->in_channels / g->groups, outer = g->out_channels / g->groups;
    int32_t y, x, o, ky, kx, i;
    for (y = 0; y < g->out_height; y++) {
        for (x = 0; x < g->out_width; x++) {
            const int8_t *weight = weights;
            for (o = 0; o < g->out_channels; o++) {
                int32_t sum = biases[o];
                for (ky = 0; ky < g->kernel_height; ky++) {
                    const int32_t in_y = y * g->stride_y - g->pad_y + ky;
                    for (kx = 0; kx < g->kernel_width; kx++) {
                        const int32_t in_x = x * g->stride_x - g->pad_x + kx;
                        if (in_y >= 0 && in_y < g->in_height && in_x >= 0 && in_x < g->in_width) {
                            const $IN *value = in + (in_y * g->in_width + in_x) * g->in_channels + o / outer * inner;
                            for (i = 0; i < inner; i++) {
                                sum += ((int32_t)value[i] - in_zero) * weight[i];
                            }
                        }
                        weight += inner;
                    }
                }
                *out++ = ($OUT)requantise((int64_t)sum * mantissas[o], shifts[o], out_zero, low, high);
            }
        }
    }
}

/* == mean == */
static void mean_$OUT(const struct geometry *g, const int8_t *in, int32_t in_zero, int32_t mantissa, int32_t shift,
                      $OUT *out, int32_t out_zero, int32_t low, int32_t high)
{
    int32_t y, x, c, ky, kx;
    for (y = 0; y < g->out_height; y++) {
        for (x = 0; x < g->out_width; x++) {
            for (c = 0; c < g->out_channels; c++) {
                int32_t sum = 0;
                for (ky = 0; ky < g->kernel_height; ky++) {
                    const int32_t in_y = y * g->stride_y - g->pad_y + ky;
                    for (kx = 0; kx < g->kernel_width; kx++) {
                        const int32_t in_x = x * g->stride_x - g->pad_x + kx;
                        if (in_y >= 0 && in_y < g->in_height && in_x >= 0 && in_x < g->in_width) {
                            sum += in[(in_y * g->in_width + in_x) * g->in_channels + c] - in_zero;
                        }
                    }
                }
                *out++ = ($OUT)requantise((int64_t)sum * mantissa, shift, out_zero, low, high);
            }
        }
    }
}

/* == maximum == */
static void maximum(const struct geometry *g, const int8_t *in, int8_t *out)
{
    int32_t y, x, c, ky, kx;
    for (y = 0; y < g->out_height; y++) {
        for (x = 0; x < g->out_width; x++) {
            for (c = 0; c < g->out_channels; c++) {
                int8_t greatest = -128;
                for (ky = 0; ky < g->kernel_height; ky++) {
                    const int32_t in_y = y * g->stride_y - g->pad_y + ky;
                    for (kx = 0; kx < g->kernel_width; kx++) {
                        const int32_t in_x = x * g->stride_x - g->pad_x + kx;
                        if (in_y >= 0 && in_y < g->in_height && in_x >= 0 && in_x < g->in_width) {
                            const int8_t value = in[(in_y * g->in_width + in_x) * g->in_channels + c];
                            greatest = value > greatest ? value : greatest;
                        }
                    }
                }
                *out++ = greatest;
            }
        }
    }
}

/* == normalise == */
/* Group normalisation. With n integers u of a group, counted from their zero, their sum S and the sum of their squares T:
   (u - mean) / sqrt(variance + eps) = (n u - S) / sqrt(n T - S^2 + n^2 eps). `eps` is n^2 times the real one in squared steps.
   The root is exact and rounded down, and so is its reciprocal: r = 2^61 / sqrt(4^k v), with 2^30 <= r <= 2^31. */
static void normalise(const struct geometry *g, const int8_t *in, int32_t in_zero, int64_t eps, const int32_t *factors,
                      int32_t shift, const int32_t *offsets, int8_t *out, int32_t out_zero, int32_t low, int32_t high)
{
    const int32_t positions = g->in_height * g->in_width, channels = g->in_channels, size = channels / g->groups;
    const int32_t n = positions * size;
    int32_t first, p, c;
    for (first = 0; first < channels; first += size) {
        int64_t sum = 0, squares = 0;
        uint64_t variance;
        uint32_t root = 0, reciprocal = 0, bit;
        int32_t k = 0;
        for (p = 0; p < positions; p++) {
            for (c = first; c < first + size; c++) {
                const int32_t u = in[p * channels + c] - in_zero;
                sum += u;
                squares += u * u;
            }
        }
        variance = (uint64_t)(n * squares - sum * sum + eps);
        while (variance < (uint64_t)1 << 60) {
            variance <<= 2;
            k++;
        }
        for (bit = (uint32_t)1 << 30; bit != 0; bit >>= 1) {
            if ((uint64_t)(root | bit) * (root | bit) <= variance) {
                root |= bit;
            }
        }
        for (bit = (uint32_t)1 << 31; bit != 0; bit >>= 1) {
            if ((uint64_t)(reciprocal | bit) * root <= (uint64_t)1 << 61) {
                reciprocal |= bit;
            }
        }
        for (c = first; c < first + size; c++) {
            const int64_t factor = shifted((int64_t)reciprocal * factors[c], 31);
            for (p = 0; p < positions; p++) {
                const int64_t distance = (int64_t)n * (in[p * channels + c] - in_zero) - sum;
                const int32_t right = 22 + shift - k;
                const int64_t value = shifted(distance * factor + ((int64_t)1 << (right - 1)), right) + offsets[c];
                out[p * channels + c] = (int8_t)requantise(value, 8, out_zero, low, high);
            }
        }
    }
}

/* == add == */
static void add(const int8_t *left, int32_t left_zero, int32_t left_mantissa, const int8_t *right, int32_t right_zero,
                int32_t right_mantissa, int32_t shift, int8_t *out, int32_t out_zero, int32_t low, int32_t high,
                int32_t count)
{
    int32_t i;
    for (i = 0; i < count; i++) {
        const int64_t sum = (int64_t)(left[i] - left_zero) * left_mantissa + (int64_t)(right[i] - right_zero) * right_mantissa;
        out[i] = (int8_t)requantise(sum, shift, out_zero, low, high);
    }
}

/* == clamp == */
static void clamp(const int8_t *in, int8_t *out, int32_t low, int32_t high, int32_t count)
{
    int32_t i;
    for (i = 0; i < count; i++) {
        out[i] = (int8_t)(in[i] < low ? low : in[i] > high ? high : in[i]);
    }
}
