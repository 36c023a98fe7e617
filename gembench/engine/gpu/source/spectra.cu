// Forward transforms: tiles of the micrograph, and the turned templates and masks of a batch.
// First along rows into scratch, then along columns into spectra (unit, ky, kx), ky and kx = 0..N-1.

// batch: the first pair of templates and the number of pairs; a launch may be larger than its batch
extern "C" __global__ void set_batch(int *batch, int first, int pairs)
{
    batch[0] = first;
    batch[1] = pairs;
}

// few: see `transform`
__device__ inline void transform_row(Complex (&v)[HELD], const Complex *roots, Complex *out, bool few = false)
{
    Complex *shared = static_cast<Complex *>(shared_memory());
    Exchange exchange = row_exchange(shared);
    transform<-1, true>(v, roots, exchange, threadIdx.x, few);
    for (int e = 0; e < HELD; ++e)
        if (out) out[threadIdx.x + e * THREADS] = v[e];
}

// T + i s (T^2 - 1) of the standardised micrograph T; 0 outside it. s = 0 leaves T alone.
extern "C" __global__ void __launch_bounds__(THREADS * ROWS) frame_rows(
    const Geometry *geometry, const Complex *roots, const void *frame, int wide, double mean, double sigma,
    double s, int first_tile, Complex *rows)
{
    const Geometry &g = *geometry;
    int row = blockIdx.x * ROWS + threadIdx.y, tile = first_tile + blockIdx.y;
    int y = g.origin_y + tile / g.tiles_x * g.step_y + row, left = g.origin_x + tile % g.tiles_x * g.step_x;
    Complex v[HELD];
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        int x = left + int(threadIdx.x) + e * THREADS;
        v[e] = {0, 0};
        if (y < 0 || x < 0 || y >= g.height || x >= g.width) continue;
        double t = (pixel(frame, wide, (long long)y * g.width + x) - mean) / sigma;
        v[e] = {Real(t), Real(s * (t * t - 1))};
    }
    transform_row(v, roots, row < N ? rows + ((long long)blockIdx.y * N + row) * N : nullptr);
}

// S M / P, times the gain; 0 beyond the mask. Inlined at every point it would make most of the code.
__device__ SEPARATE Real weight(const Bank &bank, double gain, int k, int y, int x)
{
    if (!mask_at(bank, k, y, x)) return 0;
    return Real((template_at(bank, k, y, x) - bank.records[k].mean) * bank.records[k].scale * gain);
}

// Two templates as g - i h, so that one correlation gives both: T with g real, T with h imaginary.
extern "C" __global__ void __launch_bounds__(THREADS * ROWS) template_rows(
    const Geometry *geometry, const Complex *roots, const double *views, const unsigned char *masks,
    const Turn *turns, Record *records, const int *batch, Complex *rows, double gain)
{
    if (blockIdx.y >= batch[1]) return;
    const Geometry &g = *geometry;
    Bank bank = {views, masks, turns, records, g.box_height, g.box_width};
    int row = blockIdx.x * ROWS + threadIdx.y, k = 2 * (batch[0] + blockIdx.y);
    Complex v[HELD];
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        int x = threadIdx.x + e * THREADS;
        v[e] = {0, 0};
        if (row < g.extent_y && x < g.extent_x)
            v[e] = {weight(bank, gain, k, row + g.top, x + g.left),
                    -weight(bank, gain, k + 1, row + g.top, x + g.left)};
    }
    Complex *out = row < g.extent_y ? rows + ((long long)blockIdx.y * g.extent_y + row) * N : nullptr;
    transform_row(v, roots, out, g.extent_x <= FEW);
}

__device__ SEPARATE bool covers(const Bank &bank, int k, int y, int x) { return mask_at(bank, k, y, x); }

// M / P.
extern "C" __global__ void __launch_bounds__(THREADS * ROWS) mask_rows(
    const Geometry *geometry, const Complex *roots, const double *views, const unsigned char *masks,
    const Turn *turns, Record *records, const int *batch, Complex *rows)
{
    if (blockIdx.y >= 2 * batch[1]) return;
    const Geometry &g = *geometry;
    Bank bank = {views, masks, turns, records, g.box_height, g.box_width};
    int row = blockIdx.x * ROWS + threadIdx.y, k = 2 * batch[0] + blockIdx.y;
    Complex v[HELD];
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        int x = threadIdx.x + e * THREADS;
        bool inside = row < g.extent_y && x < g.extent_x && covers(bank, k, row + g.top, x + g.left);
        v[e] = {inside ? Real(1.0 / records[k].count) : Real(0), 0};
    }
    Complex *out = row < g.extent_y ? rows + ((long long)blockIdx.y * g.extent_y + row) * N : nullptr;
    transform_row(v, roots, out, g.extent_x <= FEW);
}

// (unit, height, kx) to (unit, ky, kx), times scale; the rows from `height` on are zeros that are not read.
template <class Number>
__device__ inline void transform_columns(
    const Complex *roots, const Complex *rows, int height, Real scale, Number *spectra)
{
    Complex *shared = static_cast<Complex *>(shared_memory());
    Exchange exchange = column_exchange(shared);
    int x = blockIdx.x * COLUMNS + threadIdx.x, t = threadIdx.y;
    Complex v[HELD];
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        int y = t + e * THREADS;
        v[e] = y < height ? rows[((long long)blockIdx.y * height + y) * N + x] : Complex{0, 0};
    }
    transform<-1, false>(v, roots, exchange, t, height <= FEW);
    #pragma unroll
    for (int e = 0; e < HELD; ++e)
        spectra[((long long)blockIdx.y * N + t + e * THREADS) * N + x] = Number::of(scale * v[e]);
}

extern "C" __global__ void __launch_bounds__(THREADS * COLUMNS) columns(
    const Geometry *, const Complex *roots, const int *batch, int per_pair, const Complex *rows, int height,
    Real scale, Full *spectra)
{
    if (blockIdx.y < per_pair * batch[1]) transform_columns(roots, rows, height, scale, spectra);
}

extern "C" __global__ void __launch_bounds__(THREADS * COLUMNS) columns_stored(
    const Geometry *, const Complex *roots, const int *batch, int per_pair, const Complex *rows, int height,
    Real scale, Stored *spectra)
{
    if (blockIdx.y < per_pair * batch[1]) transform_columns(roots, rows, height, scale, spectra);
}
