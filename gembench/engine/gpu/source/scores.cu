// Inverse transforms: products of spectra along columns, then rows, sigma, quotient and running maximum in one.

// F conj(G) inverted along y, for some tiles and units (a pair of templates, or a mask); rows 0..step_y-1 are kept.
// frames: (tile, ky, kx); spectra: (unit, ky, kx); out: (tile of this launch, unit of this launch, row, kx)
template <class Number>
__device__ inline void invert_columns(
    const Geometry &g, const Complex *roots, const Number *frames, int tile, const Number *spectra, int unit,
    Real scale, Number *out)
{
    Complex *shared = static_cast<Complex *>(shared_memory());
    Exchange exchange = column_exchange(shared);
    int x = blockIdx.x * COLUMNS + threadIdx.x, t = threadIdx.y;
    const Number *frame = frames + (long long)tile * N * N + x, *spectrum = spectra + (long long)unit * N * N + x;
    Complex v[HELD];
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        int y = t + e * THREADS;
        v[e] = frame[y * N].load() * conjugate(spectrum[y * N].load());
    }
    transform<1>(v, roots, exchange, t);
    out += (long long)(blockIdx.y * gridDim.z + blockIdx.z) * g.step_y * N + x;
    #pragma unroll
    for (int e = 0; e < HELD; ++e)
        if (t + e * THREADS < g.step_y) out[(t + e * THREADS) * N] = Number::of(scale * v[e]);
}

extern "C" __global__ void __launch_bounds__(THREADS * COLUMNS) template_products(
    const Geometry *geometry, const Complex *roots, const int *batch, const Stored *frames, int first_tile,
    const Stored *spectra, int first_pair, Stored *out)
{
    int pair = first_pair + blockIdx.z;
    if (pair < batch[1])
        invert_columns(*geometry, roots, frames, first_tile + blockIdx.y, spectra, pair, Real(PRODUCT), out);
}

extern "C" __global__ void __launch_bounds__(THREADS * COLUMNS) mask_products(
    const Geometry *geometry, const Complex *roots, const int *batch, const Record *records, const Full *frames,
    int first_tile, const Full *spectra, int first_pair, Full *out)
{
    int mask = 2 * first_pair + blockIdx.z;
    if (mask < 2 * batch[1] && !records[2 * batch[0] + mask].same)
        invert_columns(*geometry, roots, frames, first_tile + blockIdx.y, spectra, mask, Real(1), out);
}

// The second half of an inverse transform: v becomes the points of one row. Every thread of the block must call.
template <class Number>
__device__ inline void invert_row(
    Complex (&v)[HELD], const Complex *roots, Exchange &exchange, const Number *row)
{
    #pragma unroll
    for (int e = 0; e < HELD; ++e) v[e] = row ? row[threadIdx.x + e * THREADS].load() : Complex{0, 0};
    transform<1>(v, roots, exchange, threadIdx.x);
}

// 1 / sigma of one row of places, and 0 where sigma^2 is not above correlate.variance_floor.
// s: of frame_rows; floors: a, b for a * mean of T^2 + b
__device__ inline void inverse_sigma(
    Real (&inverse)[HELD], const Complex *roots, Exchange &exchange, const Full *row, const Real *floors)
{
    Complex v[HELD];
    invert_row(v, roots, exchange, row);
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        Real mean = v[e].x * (Real(1) / N), moment = v[e].y * floors[2] + Real(1);
        Real variance = moment - mean * mean, least = floors[0] * moment + floors[1];
        inverse[e] = variance > least ? Real(1) / sqrt(variance) : Real(0);
    }
}

// Where one template may be scored, in places of the map (`plan.Plan.window`).
struct Window {
    int top, bottom, left, right;
};

__device__ inline Window window(const Geometry &g, const Record &record)
{
    int up = record.top - g.box_height / 2, down = record.bottom - g.box_height / 2;
    int before = record.left - g.box_width / 2, after = record.right - g.box_width / 2;
    return {max(g.first_y, -g.margin - up), min(g.last_y, g.height - 1 - g.margin - down),
            max(g.first_x, -g.margin - before), min(g.last_x, g.width - 1 - g.margin - after)};
}

// One row of places of one tile, as the threads of a block hold it.
struct Places {
    int row, y, x;  // row of the tile; place in the map of point 0, point e lies e * THREADS to the right
    bool live;
    int columns;  // of the tile that count
    __device__ bool counts(int e) const { return live && int(threadIdx.x) + e * THREADS < columns; }
};

__device__ inline Places places(const Geometry &g, int tile)
{
    int row = blockIdx.x * ROWS + threadIdx.y, left = g.start_x + tile % g.tiles_x * g.step_x;
    int y = g.start_y + tile / g.tiles_x * g.step_y + row;
    return {row, y, left + int(threadIdx.x), row < g.step_y && y < g.stop_y, min(g.step_x, g.stop_x - left)};
}

// The sigma map of a mask that many templates share; the batch's first mask, whose products are `masks`.
extern "C" __global__ void __launch_bounds__(THREADS * ROWS) sigma_rows(
    const Geometry *geometry, const Complex *roots, int first_tile, const Full *masks, const Real *floors,
    Real *map)
{
    Complex *shared = static_cast<Complex *>(shared_memory());
    const Geometry &g = *geometry;
    Exchange exchange = row_exchange(shared);
    Places here = places(g, first_tile + blockIdx.y);
    const Full *row = here.live ? masks + ((long long)blockIdx.y * g.step_y + here.row) * N : nullptr;
    Real inverse[HELD];
    inverse_sigma(inverse, roots, exchange, row, floors);
    #pragma unroll
    for (int e = 0; e < HELD; ++e)
        if (here.counts(e)) map[(long long)here.y * g.map_width + here.x + e * THREADS] = inverse[e];
}

// Blocks of a multiprocessor that registers are left for: spilling costs more than a third block brings.
constexpr int RESIDENT = sizeof(Real) == 4 && THREADS * ROWS <= 256 ? 2 : 1;

struct Best {
    Real score[HELD];
    int index[HELD];
};

// NCC = numerator / sigma into the running maximum; equal scores keep the lowest index.
__device__ inline void improve(
    Best &best, const Geometry &g, const Places &here, const Turn &turn, const Record &record,
    const Real (&numerator)[HELD], const Real (&inverse)[HELD])
{
    Window at = window(g, record);
    if (turn.index < 0 || here.y < at.top || here.y > at.bottom) return;
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        int x = here.x + e * THREADS;
        Real ncc = numerator[e] * inverse[e];
        bool better = ncc > best.score[e] || (ncc == best.score[e] && turn.index < best.index[e]);
        if (better && x >= at.left && x <= at.right) {
            best.score[e] = ncc;
            best.index[e] = turn.index;
        }
    }
}

// Pairs first_pair .. first_pair + pairs - 1 of the batch into the maps, for some tiles.
// OWN: sigma from the masks' products; otherwise from the map of the mask that all share
template <bool OWN>
__device__ inline void fold(
    const Geometry &g, const Complex *roots, const int *batch, const Turn *turns, const Record *records,
    int first_tile, int first_pair, int pairs, const Stored *templates, const Full *masks, const Real *floors,
    const Real *sigma, Real unscale, Real *score, int *index)
{
    Complex *shared = static_cast<Complex *>(shared_memory());
    Exchange exchange = row_exchange(shared);
    Places here = places(g, first_tile + blockIdx.y);
    long long at = (long long)here.y * g.map_width + here.x;
    Best best;
    Real inverse[2][HELD];
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        best.score[e] = here.counts(e) ? score[at + e * THREADS] : Real(0);
        best.index[e] = here.counts(e) ? index[at + e * THREADS] : -1;
        inverse[0][e] = inverse[1][e] = !OWN && here.counts(e) ? sigma[at + e * THREADS] : Real(0);
    }
    for (int p = 0; p < pairs && first_pair + p < batch[1]; ++p) {
        int k = 2 * (batch[0] + first_pair + p);
        long long unit = (long long)(blockIdx.y * pairs + p) * g.step_y, row = here.row;
        if (OWN) {
            inverse_sigma(inverse[0], roots, exchange, here.live ? masks + (2 * unit + row) * N : nullptr, floors);
            if (records[k + 1].same) {
                #pragma unroll
                for (int e = 0; e < HELD; ++e) inverse[1][e] = inverse[0][e];
            } else {
                const Full *mine = here.live ? masks + (2 * unit + g.step_y + row) * N : nullptr;
                inverse_sigma(inverse[1], roots, exchange, mine, floors);
            }
        }
        Complex v[HELD];
        invert_row(v, roots, exchange, here.live ? templates + (unit + row) * N : nullptr);
        Real first[HELD], second[HELD];
        #pragma unroll
        for (int e = 0; e < HELD; ++e) first[e] = unscale * v[e].x, second[e] = unscale * v[e].y;
        improve(best, g, here, turns[k], records[k], first, inverse[0]);
        improve(best, g, here, turns[k + 1], records[k + 1], second, inverse[1]);
    }
    #pragma unroll
    for (int e = 0; e < HELD; ++e)
        if (here.counts(e)) {
            score[at + e * THREADS] = best.score[e];
            index[at + e * THREADS] = best.index[e];
        }
}

extern "C" __global__ void __launch_bounds__(THREADS * ROWS, RESIDENT) fold_own(
    const Geometry *geometry, const Complex *roots, const int *batch, const Turn *turns, const Record *records,
    int first_tile, int first_pair, int pairs, const Stored *templates, const Full *masks, const Real *floors,
    Real unscale, Real *score, int *index)
{
    fold<true>(*geometry, roots, batch, turns, records, first_tile, first_pair, pairs, templates, masks, floors,
               nullptr, unscale, score, index);
}

extern "C" __global__ void __launch_bounds__(THREADS * ROWS, RESIDENT) fold_shared(
    const Geometry *geometry, const Complex *roots, const int *batch, const Turn *turns, const Record *records,
    int first_tile, int first_pair, int pairs, const Stored *templates, const Real *sigma, Real unscale,
    Real *score, int *index)
{
    fold<false>(*geometry, roots, batch, turns, records, first_tile, first_pair, pairs, templates, nullptr,
                nullptr, sigma, unscale, score, index);
}
