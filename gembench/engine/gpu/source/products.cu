// The first half of the inverse transforms: products of spectra, along columns.

// A thread's place in a block of columns; out: (row, kx), rows 0..step_y-1, whose sums do not wrap around.
struct Column {
    int x = blockIdx.x * COLUMNS + threadIdx.x, t = threadIdx.y;
};

// F conj(G); frame, spectrum: (ky, kx).
template <class Number>
__device__ inline void multiply(Complex (&v)[HELD], Column here, const Number *frame, const Number *spectrum)
{
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        int at = (here.t + e * THREADS) * N + here.x;
        v[e] = frame[at].load() * conjugate(spectrum[at].load());
    }
}

__device__ inline void invert_columns(Complex (&v)[HELD], Column here, const Complex *roots)
{
    Exchange exchange = column_exchange(static_cast<Complex *>(shared_memory()));
    transform<1, false>(v, roots, exchange, here.t);
}

template <class Number>
__device__ inline void keep(const Complex (&v)[HELD], Column here, const Geometry &g, Real scale, Number *out)
{
    #pragma unroll
    for (int e = 0; e < HELD; ++e)
        if (here.t + e * THREADS < g.step_y) out[(here.t + e * THREADS) * N + here.x] = Number::of(scale * v[e]);
}

// Places in (tile, ky, kx), in (unit, ky, kx) and in (tile of this launch, unit of this launch, row, kx).
__device__ inline long long plane(int number) { return (long long)number * N * N; }
__device__ inline long long product(const Geometry &g, int units, int unit)
{
    return (long long)(blockIdx.y * units + unit) * g.step_y * N;
}

// A pair of templates, blockIdx.z of the group, with one tile, blockIdx.y of this launch's. One product a block: a
// loop over several, with F kept, took twice the registers.
extern "C" __global__ void __launch_bounds__(THREADS * COLUMNS) products_shared(
    const Geometry *geometry, const Complex *roots, const int *batch, const Stored *image, int first_tile,
    const Stored *templates, int first_pair, Stored *out)
{
    int unit = blockIdx.z, pair = first_pair + unit;
    if (pair >= batch[1]) return;
    Column here;
    Complex v[HELD];
    multiply(v, here, image + plane(first_tile + blockIdx.y), templates + plane(pair));
    invert_columns(v, here, roots);
    keep(v, here, *geometry, Real(PRODUCT), out + product(*geometry, GROUP, unit));
}

// The same, and the pairs' masks, blockIdx.z from GROUP on; a mask that is its neighbour's is left out.
extern "C" __global__ void __launch_bounds__(THREADS * COLUMNS) products_own(
    const Geometry *geometry, const Complex *roots, const int *batch, const Stored *image, int first_tile,
    const Stored *templates, int first_pair, Stored *out, const Record *records, const Full *squares,
    const Full *masks, Full *mask_out)
{
    int unit = blockIdx.z - GROUP, tile = first_tile + blockIdx.y;
    int pair = first_pair + unit + GROUP, mask = 2 * first_pair + unit;
    if (unit < 0 ? pair >= batch[1] : mask >= 2 * batch[1] || records[2 * batch[0] + mask].same) return;
    Column here;
    Complex v[HELD];
    if (unit < 0)
        multiply(v, here, image + plane(tile), templates + plane(pair));
    else
        multiply(v, here, squares + plane(tile), masks + plane(mask));
    invert_columns(v, here, roots);
    if (unit < 0)
        keep(v, here, *geometry, Real(PRODUCT), out + product(*geometry, GROUP, unit + GROUP));
    else
        keep(v, here, *geometry, Real(1), mask_out + product(*geometry, 2 * GROUP, unit));
}

// Products of a group by one block, one after the other: its columns of a tile are read once and kept in shared memory,
// behind the points that are exchanged. Every thread reads there what it wrote itself.
struct Kept {
    Complex *points;
    Exchange exchange;  // buffers go on taking turns from one product to the next
    __device__ Complex &at(Column here, int e) { return points[(here.t + e * THREADS) * COLUMNS + threadIdx.x]; }
};

__device__ inline Kept kept()
{
    Complex *shared = static_cast<Complex *>(shared_memory());
    return {shared + BUFFERS * COLUMNS * N, column_exchange(shared)};
}

template <class Number> __device__ inline void read_once(Kept &kept, Column here, const Number *frame)
{
    #pragma unroll
    for (int e = 0; e < HELD; ++e) kept.at(here, e) = frame[(here.t + e * THREADS) * N + here.x].load();
}

template <class Number, class Out>
__device__ inline void correlate_kept(
    Kept &kept, Column here, const Geometry &g, const Complex *roots, const Number *spectrum, Real scale, Out *out)
{
    Complex v[HELD];
    #pragma unroll
    for (int e = 0; e < HELD; ++e)
        v[e] = kept.at(here, e) * conjugate(spectrum[(here.t + e * THREADS) * N + here.x].load());
    transform<1, false>(v, roots, kept.exchange, here.t);
    keep(v, here, g, scale, out);
    if (BUFFERS == 1) __syncthreads();  // the only buffer has been read
}

__device__ inline void pairs_of_group(
    Kept &kept, Column here, const Geometry &g, const Complex *roots, int pairs, const Stored *templates,
    int first_pair, Stored *out)
{
    #pragma unroll 1
    for (int unit = 0; unit < GROUP && first_pair + unit < pairs; ++unit)
        correlate_kept(kept, here, g, roots, templates + plane(first_pair + unit), Real(PRODUCT),
                       out + product(g, GROUP, unit));
}

extern "C" __global__ void __launch_bounds__(THREADS * COLUMNS) products_shared_once(
    const Geometry *geometry, const Complex *roots, const int *batch, const Stored *image, int first_tile,
    const Stored *templates, int first_pair, Stored *out)
{
    Column here;
    Kept frame = kept();
    read_once(frame, here, image + plane(first_tile + blockIdx.y));
    pairs_of_group(frame, here, *geometry, roots, batch[1], templates, first_pair, out);
}

extern "C" __global__ void __launch_bounds__(THREADS * COLUMNS) products_own_once(
    const Geometry *geometry, const Complex *roots, const int *batch, const Stored *image, int first_tile,
    const Stored *templates, int first_pair, Stored *out, const Record *records, const Full *squares,
    const Full *masks, Full *mask_out)
{
    Column here;
    Kept frame = kept();
    read_once(frame, here, image + plane(first_tile + blockIdx.y));
    pairs_of_group(frame, here, *geometry, roots, batch[1], templates, first_pair, out);
    read_once(frame, here, squares + plane(first_tile + blockIdx.y));
    #pragma unroll 1
    for (int unit = 0; unit < 2 * GROUP && 2 * first_pair + unit < 2 * batch[1]; ++unit) {
        int mask = 2 * first_pair + unit;
        if (!records[2 * batch[0] + mask].same)
            correlate_kept(frame, here, *geometry, roots, masks + plane(mask), Real(1),
                           mask_out + product(*geometry, 2 * GROUP, unit));
    }
}

// The first mask of the batch, which many templates share.
extern "C" __global__ void __launch_bounds__(THREADS * COLUMNS) products_sigma(
    const Geometry *geometry, const Complex *roots, const int *, const Full *squares, int first_tile,
    const Full *masks, Full *out)
{
    Column here;
    Complex v[HELD];
    multiply(v, here, squares + plane(first_tile + blockIdx.y), masks);
    invert_columns(v, here, roots);
    keep(v, here, *geometry, Real(1), out + product(*geometry, 1, 0));
}
