// Templates and masks turned in the plane, in double: the arithmetic of templates.turn_bilinear, and cubic splines.
//
// Masks must come out pixel for pixel as the CPU's, so no multiplication is fused with an addition where they are
// turned. views: (v, height + 2 PAD, width + 2 PAD), pixels, or coefficients of their cubic spline; masks: 0 or 1

struct Bank {
    const double *views;
    const unsigned char *masks;
    const Turn *turns;
    Record *records;
    int height, width;
};

__device__ inline double plus(double a, double b) { return __dadd_rn(a, b); }
__device__ inline double times(double a, double b) { return __dmul_rn(a, b); }
__device__ inline double limited(double a, double most) { return fmin(fmax(a, 0.0), most); }
__device__ inline int limited(int a, int most) { return min(max(a, 0), most); }

struct Place {
    double y, x;
};

// Where pixel (y, x) of the turned box lies in the template as it was given.
__device__ inline Place source_of(const Bank &bank, const Turn &turn, int y, int x)
{
    int up = bank.height / 2, left = bank.width / 2, dy = y - up, dx = x - left;
    return {plus(plus(up, times(turn.cosine, dy)), times(turn.sine, dx)),
            plus(plus(left, -times(turn.sine, dy)), times(turn.cosine, dx))};
}

// Between four pixels of (height, width); the nearest pixel outside.
template <class Pixel>
__device__ inline double bilinear(const Pixel *image, int height, int width, Place at)
{
    double y = limited(at.y, height - 1.0), x = limited(at.x, width - 1.0);
    int top = int(y), left = int(x), below = min(top + 1, height - 1), right = min(left + 1, width - 1);
    y -= top, x -= left;
    double upper = plus(times(image[top * width + left], 1 - x), times(image[top * width + right], x));
    double lower = plus(times(image[below * width + left], 1 - x), times(image[below * width + right], x));
    return plus(times(upper, 1 - y), times(lower, y));
}

__device__ inline void cubic_weights(double t, double (&weights)[4])
{
    double u = 1 - t;
    weights[0] = u * u * u / 6;
    weights[1] = (t * t * (t - 2) * 3 + 4) / 6;
    weights[2] = (u * u * (u - 2) * 3 + 4) / 6;
    weights[3] = t * t * t / 6;
}

// The spline whose coefficients reach PAD pixels beyond the box.
__device__ inline double cubic(const double *coefficients, int height, int width, Place at)
{
    double y = limited(at.y + PAD, height - 1.0), x = limited(at.x + PAD, width - 1.0);
    int top = int(y) - 1, left = int(x) - 1;
    double down[4], right[4], sum = 0;
    cubic_weights(y - int(y), down);
    cubic_weights(x - int(x), right);
    for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j)
            sum += coefficients[limited(top + i, height - 1) * width + limited(left + j, width - 1)] * down[i]
                 * right[j];
    return sum;
}

// Bilinear, 0 outside, above one half.
__device__ inline bool mask_at(const Bank &bank, int k, int y, int x)
{
    const Turn &turn = bank.turns[k];
    if (turn.view < 0) return false;
    const unsigned char *mask = bank.masks + (long long)turn.view * bank.height * bank.width;
    if (turn.disc) return mask[y * bank.width + x];  // no turn changes a disc
    Place at = source_of(bank, turn, y, x);
    bool inside = at.y >= 0 && at.x >= 0 && at.y <= bank.height - 1 && at.x <= bank.width - 1;
    return inside && bilinear(mask, bank.height, bank.width, at) > 0.5;
}

__device__ inline double template_at(const Bank &bank, int k, int y, int x)
{
    const Turn &turn = bank.turns[k];
    int height = bank.height + 2 * PAD, width = bank.width + 2 * PAD;
    const double *view = bank.views + (long long)turn.view * height * width;
    Place at = source_of(bank, turn, y, x);
    return PAD > 0 ? cubic(view, height, width, at) : bilinear(view, height, width, at);
}
