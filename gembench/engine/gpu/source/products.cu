// The first half of the inverse transforms: products of spectra, along columns.

// F conj(G) inverted along y; rows 0..step_y-1, whose sums do not wrap around, are kept. frame, spectrum: (ky, kx);
// out: (row, kx). One spectrum a block: a loop over several, with F kept, took twice the registers.
template <class Number>
__device__ inline void invert_columns(
    const Geometry &g, const Complex *roots, const Number *frame, const Number *spectrum, Real scale, Number *out)
{
    Exchange exchange = column_exchange(static_cast<Complex *>(shared_memory()));
    int x = blockIdx.x * COLUMNS + threadIdx.x, t = threadIdx.y;
    Complex v[HELD];
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        int at = (t + e * THREADS) * N + x;
        v[e] = frame[at].load() * conjugate(spectrum[at].load());
    }
    transform<1>(v, roots, exchange, t);
    #pragma unroll
    for (int e = 0; e < HELD; ++e)
        if (t + e * THREADS < g.step_y) out[(t + e * THREADS) * N + x] = Number::of(scale * v[e]);
}

// Places in (tile, ky, kx), in (unit, ky, kx) and in (tile of this launch, unit of this launch, row, kx).
__device__ inline long long plane(int number) { return (long long)number * N * N; }
__device__ inline long long product(const Geometry &g, int units, int unit)
{
    return (long long)(blockIdx.y * units + unit) * g.step_y * N;
}

// A pair of templates, blockIdx.z of the group, with one tile, blockIdx.y of this launch's.
__device__ inline void invert_templates(
    const Geometry &g, const Complex *roots, const int *batch, const Stored *image, int first_tile,
    const Stored *templates, int first_pair, Stored *out)
{
    int unit = blockIdx.z, pair = first_pair + unit;
    if (pair < batch[1])
        invert_columns(g, roots, image + plane(first_tile + blockIdx.y), templates + plane(pair), Real(PRODUCT),
                       out + product(g, GROUP, unit));
}

extern "C" __global__ void __launch_bounds__(THREADS * COLUMNS) products_shared(
    const Geometry *geometry, const Complex *roots, const int *batch, const Stored *image, int first_tile,
    const Stored *templates, int first_pair, Stored *out)
{
    invert_templates(*geometry, roots, batch, image, first_tile, templates, first_pair, out);
}

// The same, and the pairs' masks, blockIdx.z from GROUP on; a mask that is its neighbour's is left out.
extern "C" __global__ void __launch_bounds__(THREADS * COLUMNS) products_own(
    const Geometry *geometry, const Complex *roots, const int *batch, const Stored *image, int first_tile,
    const Stored *templates, int first_pair, Stored *out, const Record *records, const Full *squares,
    const Full *masks, Full *mask_out)
{
    const Geometry &g = *geometry;
    int unit = blockIdx.z - GROUP, mask = 2 * first_pair + unit;
    if (unit < 0)
        invert_templates(g, roots, batch, image, first_tile, templates, first_pair, out);
    else if (mask < 2 * batch[1] && !records[2 * batch[0] + mask].same)
        invert_columns(g, roots, squares + plane(first_tile + blockIdx.y), masks + plane(mask), Real(1),
                       mask_out + product(g, 2 * GROUP, unit));
}

// The first mask of the batch, which many templates share.
extern "C" __global__ void __launch_bounds__(THREADS * COLUMNS) products_sigma(
    const Geometry *geometry, const Complex *roots, const int *, const Full *squares, int first_tile,
    const Full *masks, Full *out)
{
    invert_columns(*geometry, roots, squares + plane(first_tile + blockIdx.y), masks, Real(1),
                   out + product(*geometry, 1, 0));
}
