// Templates and masks turned in the plane: the arithmetic of scipy.ndimage.affine_transform, in double.
//
// Masks must come out pixel for pixel as the CPU's, so no multiplication is fused with an addition here.
// views: (v, height + 2 PAD, width + 2 PAD), pixels, or coefficients of their cubic spline; masks: 0 or 1

struct Bank {
    const double *views;
    const unsigned char *masks;
    const Turn *turns;
    Record *records;
    int height, width;
};

__device__ inline double plus(double a, double b) { return __dadd_rn(a, b); }
__device__ inline double times(double a, double b) { return __dmul_rn(a, b); }

struct Place {
    double y, x;
};

// Where pixel (y, x) of the turned box lies in the template as it was given.
__device__ inline Place source_of(const Turn &turn, int y, int x)
{
    return {plus(plus(turn.shift_y, times(y, turn.cosine)), times(x, turn.sine)),
            plus(plus(turn.shift_x, times(y, -turn.sine)), times(x, turn.cosine))};
}

__device__ inline int within(int i, int size) { return i < 0 ? 0 : i < size ? i : size - 1; }

// Bilinear, 0 outside, above one half.
__device__ inline bool mask_at(const Bank &bank, int k, int y, int x)
{
    const Turn &turn = bank.turns[k];
    if (turn.view < 0) return false;
    const unsigned char *mask = bank.masks + (long long)turn.view * bank.height * bank.width;
    if (turn.disc) return mask[y * bank.width + x];  // no turn changes a disc
    Place at = source_of(turn, y, x);
    if (at.y < 0 || at.x < 0 || at.y > bank.height - 1 || at.x > bank.width - 1) return false;
    int top = int(floor(at.y)), left = int(floor(at.x));
    double down = at.y - top, right = at.x - left, sum = 0;
    for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 2; ++j) {
            double value = mask[within(top + i, bank.height) * bank.width + within(left + j, bank.width)];
            value = times(times(value, i ? down : 1 - down), j ? right : 1 - right);
            sum = plus(sum, value);
        }
    return sum > 0.5;
}

__device__ inline void spline_weights(double t, double (&weights)[ORDER + 1])
{
    double u = 1 - t;
#if ORDER == 1
    weights[0] = u;
    weights[1] = t;
#else
    weights[0] = u * u * u / 6;
    weights[1] = (t * t * (t - 2) * 3 + 4) / 6;
    weights[2] = (u * u * (u - 2) * 3 + 4) / 6;
    weights[3] = t * t * t / 6;
#endif
}

// Bilinear or cubic by spline, the nearest pixel outside.
__device__ inline double template_at(const Bank &bank, int k, int y, int x)
{
    const Turn &turn = bank.turns[k];
    Place at = source_of(turn, y, x);
    int height = bank.height + 2 * PAD, width = bank.width + 2 * PAD;
    const double *view = bank.views + (long long)turn.view * height * width;
    at.y = fmin(fmax(at.y + PAD, 0.0), height - 1.0);
    at.x = fmin(fmax(at.x + PAD, 0.0), width - 1.0);
    double down[ORDER + 1], right[ORDER + 1], sum = 0;
    spline_weights(at.y - floor(at.y), down);
    spline_weights(at.x - floor(at.x), right);
    int top = int(floor(at.y)) - ORDER / 2, left = int(floor(at.x)) - ORDER / 2;
    for (int i = 0; i <= ORDER; ++i)
        for (int j = 0; j <= ORDER; ++j)
            sum += view[within(top + i, height) * width + within(left + j, width)] * down[i] * right[j];
    return sum;
}
