// The second half of the inverse transforms, along rows: sigma, quotient and running maximum in one pass.

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

// One row of one tile's places, as the threads of a transform hold it.
struct Places {
    int row, y, x;  // row of the tile; place in the map of point 0, point e lies e * THREADS to the right
    int columns;  // of the row that count, none if the row itself does not
    __device__ bool counts(int e) const { return int(threadIdx.x) + e * THREADS < columns; }
};

__device__ inline Places places(const Geometry &g, int tile, int row)
{
    int y = g.start_y + tile / g.tiles_x * g.step_y + row, left = g.start_x + tile % g.tiles_x * g.step_x;
    bool live = row < g.step_y && y < g.stop_y;
    return {row, y, left + int(threadIdx.x), live ? min(g.step_x, g.stop_x - left) : 0};
}

// v becomes the points of one row. Every thread of the block must call, with nothing to read if need be.
template <class Number>
__device__ inline void invert_row(Complex (&v)[HELD], const Complex *roots, Exchange &exchange, const Number *row)
{
    #pragma unroll
    for (int e = 0; e < HELD; ++e) v[e] = row ? row[threadIdx.x + e * THREADS].load() : Complex{0, 0};
    transform<1>(v, roots, exchange, threadIdx.x);
}

// 1 / sigma, and 0 where sigma^2 is not above normalise.variance_floor.
// sums: (1/P) sum M T and s (1/P) sum M (T^2 - 1), times N; floors: a, b for a * mean of T^2 + b; 1 / (s N)
__device__ inline Real inverse_sigma(Complex sums, const Real *floors)
{
    Real mean = sums.x * (Real(1) / N), moment = sums.y * floors[2] + Real(1);
    Real variance = moment - mean * mean, least = floors[0] * moment + floors[1];
    return variance > least ? Real(1) / sqrt(variance) : Real(0);
}

// The sigma map of a mask that many templates share.
extern "C" __global__ void __launch_bounds__(THREADS * ROWS) sigma_rows(
    const Geometry *geometry, const Complex *roots, int first_tile, const Full *products, const Real *floors,
    Real *map)
{
    Exchange exchange = row_exchange(static_cast<Complex *>(shared_memory()));
    const Geometry &g = *geometry;
    Places here = places(g, first_tile + blockIdx.y, blockIdx.x * ROWS + threadIdx.y);
    const Full *row = products + ((long long)blockIdx.y * g.step_y + here.row) * N;
    Complex v[HELD];
    invert_row(v, roots, exchange, here.columns ? row : nullptr);
    #pragma unroll
    for (int e = 0; e < HELD; ++e)
        if (here.counts(e)) map[(long long)here.y * g.map_width + here.x + e * THREADS] = inverse_sigma(v[e], floors);
}

constexpr int NOTHING = -4;  // below every score, and below what says that no template was scored

struct Best {
    Real score[HELD];
    int index[HELD];
    // Equal scores keep the lowest index.
    __device__ void improve(int e, Real ncc, int k)
    {
        bool better = ncc > score[e] || (ncc == score[e] && k < index[e]);
        score[e] = better ? ncc : score[e];
        index[e] = better ? k : index[e];
    }
};

// NCC of one template into the running maximum; real and imaginary part of v are numerators, times 1 / unscale.
__device__ inline void score_template(
    Best &best, const Geometry &g, const Places &here, const Turn &turn, const Record &record,
    const Complex (&v)[HELD], bool imaginary, Real unscale, const Real *inverse, int stride)
{
    Window at = window(g, record);
    if (turn.index < 0 || here.y < at.top || here.y > at.bottom) return;
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        int x = here.x + e * THREADS;
        if (here.counts(e) && x >= at.left && x <= at.right)
            best.improve(e, unscale * (imaginary ? v[e].y : v[e].x) * inverse[e * stride], turn.index);
    }
}

// A group of pairs into the maps. A block is a few rows of one tile, threadIdx.z; each transform has threads of
// its own, threadIdx.y: the pairs first, then their masks, which leave 1 / sigma in shared memory.
// OWN: whether there are such masks; otherwise sigma is the map of the mask that all share
template <bool OWN>
__device__ inline void fold(
    const Geometry &g, const Complex *roots, const int *batch, const Turn *turns, const Record *records,
    int first_tile, int first_pair, const Stored *products, const Full *mask_products, const Real *floors,
    const Real *sigma, Real unscale, Real *score, int *index)
{
    Complex *shared = static_cast<Complex *>(shared_memory());
    Exchange exchange = row_exchange(shared);
    Places here = places(g, first_tile + blockIdx.y, blockIdx.x * blockDim.z + threadIdx.z);
    int unit = threadIdx.y, mask = unit - GROUP, pair = first_pair + (OWN && mask >= 0 ? mask / 2 : unit);
    int k = 2 * (batch[0] + pair);
    bool used = here.columns > 0 && pair < batch[1];
    long long tile = blockIdx.y, at = (long long)here.y * g.map_width + here.x;
    Complex v[HELD];
    if (OWN && mask >= 0) {
        used = used && !records[k + mask % 2].same;
        const Full *row = mask_products + ((tile * 2 * GROUP + mask) * g.step_y + here.row) * N;
        invert_row(v, roots, exchange, used ? row : nullptr);
        Real *inverse = reinterpret_cast<Real *>(exchange.now);
        #pragma unroll
        for (int e = 0; e < HELD; ++e) inverse[threadIdx.x + e * THREADS] = inverse_sigma(v[e], floors);
    } else {
        invert_row(v, roots, exchange, used ? products + ((tile * GROUP + unit) * g.step_y + here.row) * N : nullptr);
    }
    Best best;
    #pragma unroll
    for (int e = 0; e < HELD; ++e) best.score[e] = NOTHING, best.index[e] = -1;
    if (OWN) __syncthreads();
    if (unit < GROUP && used) {
        const Real *first = sigma + at, *second = first;
        if (OWN) {
            first = reinterpret_cast<Real *>(exchange.now + (GROUP + unit) * N) + threadIdx.x;
            second = first + (records[k + 1].same ? 0 : 2 * N);
        }
        score_template(best, g, here, turns[k], records[k], v, false, unscale, first, THREADS);
        score_template(best, g, here, turns[k + 1], records[k + 1], v, true, unscale, second, THREADS);
    }
    if (unit > 0 && unit < GROUP) {
        Real *scores = reinterpret_cast<Real *>(exchange.now);
        int *indices = reinterpret_cast<int *>(scores + N);
        #pragma unroll
        for (int e = 0; e < HELD; ++e) {
            scores[threadIdx.x + e * THREADS] = best.score[e];
            indices[threadIdx.x + e * THREADS] = best.index[e];
        }
    }
    __syncthreads();
    if (unit > 0) return;
    for (int other = 1; other < GROUP; ++other) {
        const Real *scores = reinterpret_cast<Real *>(exchange.now + other * N) + threadIdx.x;
        const int *indices = reinterpret_cast<const int *>(scores - threadIdx.x + N) + threadIdx.x;
        #pragma unroll
        for (int e = 0; e < HELD; ++e) best.improve(e, scores[e * THREADS], indices[e * THREADS]);
    }
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        if (!here.counts(e) || best.index[e] < 0) continue;
        best.improve(e, score[at + e * THREADS], index[at + e * THREADS]);
        score[at + e * THREADS] = best.score[e];
        index[at + e * THREADS] = best.index[e];
    }
}

extern "C" __global__ void __launch_bounds__(THREADS * 3 * GROUP * OWN_ROWS) fold_own(
    const Geometry *geometry, const Complex *roots, const int *batch, const Turn *turns, const Record *records,
    int first_tile, int first_pair, const Stored *products, Real unscale, Real *score, int *index,
    const Full *mask_products, const Real *floors)
{
    fold<true>(*geometry, roots, batch, turns, records, first_tile, first_pair, products, mask_products, floors,
               nullptr, unscale, score, index);
}

extern "C" __global__ void __launch_bounds__(THREADS * GROUP * SHARED_ROWS) fold_shared(
    const Geometry *geometry, const Complex *roots, const int *batch, const Turn *turns, const Record *records,
    int first_tile, int first_pair, const Stored *products, Real unscale, Real *score, int *index,
    const Real *sigma)
{
    fold<false>(*geometry, roots, batch, turns, records, first_tile, first_pair, products, nullptr, nullptr, sigma,
                unscale, score, index);
}
