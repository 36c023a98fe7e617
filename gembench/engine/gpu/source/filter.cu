// A separable filter of a micrograph mirrored at its edges, in double: the same weights along rows and columns.

// The pixel that lies at i of an image of n that is mirrored again and again, its outermost pixel repeated.
__device__ inline int repeated(int i, int n)
{
    i %= 2 * n;
    if (i < 0) i += 2 * n;
    return i < n ? i : 2 * n - 1 - i;
}

// The same where the outermost pixel is not repeated, which is how margins are filled.
__device__ inline int reflected(int i, int n)
{
    if (n == 1) return 0;
    i %= 2 * n - 2;
    if (i < 0) i += 2 * n - 2;
    return i < n ? i : 2 * n - 2 - i;
}

// weights: of the pixels from `first` on, beside the one that they make; count: of them
// frame: (height, width), float or double if wide, less its mean; out: of the same shape
extern "C" __global__ void __launch_bounds__(256) filter_rows(
    const void *frame, int wide, double mean, int height, int width, const double *weights, int first, int count,
    double *out)
{
    int x = blockIdx.x * blockDim.x + threadIdx.x, start = x + first;
    if (x >= width) return;
    long long row = (long long)blockIdx.y * width;
    bool inside = start >= 0 && start + count <= width;
    double sum = 0;
    for (int j = 0; j < count; ++j) {
        int at = inside ? start + j : repeated(start + j, width);
        sum += weights[j] * (pixel(frame, wide, row + at) - mean);
    }
    out[row + x] = sum;
}

// rows: what `filter_rows` made; out: (height + 2 margin, width + 2 margin), its margins filled
extern "C" __global__ void __launch_bounds__(256) filter_columns(
    const double *rows, int height, int width, int margin, const double *weights, int first, int count, double *out)
{
    int left = blockIdx.x * blockDim.x + threadIdx.x;
    if (left >= width + 2 * margin) return;
    int x = reflected(left - margin, width), start = reflected(int(blockIdx.y) - margin, height) + first;
    bool inside = start >= 0 && start + count <= height;
    double sum = 0;
    for (int j = 0; j < count; ++j) {
        int at = inside ? start + j : repeated(start + j, height);
        sum += weights[j] * rows[(long long)at * width + x];
    }
    out[(long long)blockIdx.y * (width + 2 * margin) + left] = sum;
}
