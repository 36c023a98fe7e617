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

// v becomes what memory holds of one row, zeros where there is nothing to read.
template <class Number> __device__ inline void read_row(Complex (&v)[HELD], const Number *row)
{
    #pragma unroll
    for (int e = 0; e < HELD; ++e) v[e] = row ? row[threadIdx.x + e * THREADS].load() : Complex{0, 0};
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
    read_row(v, here.columns ? row : nullptr);
    transform<1, true>(v, roots, exchange, threadIdx.x);
    #pragma unroll
    for (int e = 0; e < HELD; ++e)
        if (here.counts(e)) map[(long long)here.y * g.map_width + here.x + e * THREADS] = inverse_sigma(v[e], floors);
}

constexpr int NOTHING = -4;  // below every score, and below what says that no template was scored

// Score and index of the better of two templates at each of a thread's points; equal scores keep the lowest index.
struct Best {
    Real score[HELD];
    unsigned scored, second;  // bit e: whether either was scored at point e, whether it is the second
    int first_index, second_index;
    __device__ int at(int e) const { return scored >> e & 1 ? second >> e & 1 ? second_index : first_index : -1; }
};

__device__ inline bool better(Real ncc, int k, Real other, int other_k)
{
    return ncc > other || (ncc == other && k < other_k);
}

// The rows and columns where one template counts, in this row of places.
struct Reach {
    bool live;
    int left, right;
    __device__ bool holds(int x) const { return live && x >= left && x <= right; }
};

__device__ inline Reach reach(const Geometry &g, const Places &here, const Turn &turn, const Record &record)
{
    Window at = window(g, record);
    return {turn.index >= 0 && here.y >= at.top && here.y <= at.bottom, at.left, at.right};
}

// NCC of a pair: real and imaginary part of v are numerators, times 1 / unscale; inverse: 1 / sigma of either, whose
// point e lies e * THREADS further.
__device__ inline Best score_pair(
    const Geometry &g, const Places &here, const Turn *turns, const Record *records, const Complex (&v)[HELD],
    Real unscale, const Real *first_inverse, const Real *second_inverse)
{
    Best best = {{}, 0, 0, turns[0].index, turns[1].index};
    Reach first = reach(g, here, turns[0], records[0]), second = reach(g, here, turns[1], records[1]);
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        int x = here.x + e * THREADS;
        bool one = here.counts(e) && first.holds(x), two = here.counts(e) && second.holds(x);
        Real a = one ? unscale * v[e].x * first_inverse[e * THREADS] : Real(NOTHING);
        Real b = two ? unscale * v[e].y * second_inverse[e * THREADS] : Real(NOTHING);
        bool take = two && (!one || better(b, best.second_index, a, best.first_index));
        best.score[e] = take ? b : a;
        best.scored |= unsigned(one || two) << e;
        best.second |= unsigned(take) << e;
    }
    return best;
}

// A group of pairs into the maps. A block is a few rows of one tile, threadIdx.z; each transform has threads of
// its own, threadIdx.y: the pairs first, then their masks, which leave 1 / sigma in shared memory. A warp may have
// threads of pairs and of masks: they pass the same barriers.
// OWN: whether there are such masks; otherwise sigma is the map of the mask that all share
template <bool OWN>
__device__ inline void fold(
    const Geometry &g, const Complex *roots, const int *batch, const Turn *turns, const Record *records,
    int first_tile, int first_pair, const Stored *products, const Full *mask_products, const Real *floors,
    const Real *sigma, Real unscale, Real *score, int *index)
{
    Exchange exchange = row_exchange(static_cast<Complex *>(shared_memory()));
    Places here = places(g, first_tile + blockIdx.y, blockIdx.x * (OWN ? OWN_ROWS : SHARED_ROWS) + threadIdx.z);
    int unit = threadIdx.y, mask = unit - GROUP, pair = first_pair + (OWN && mask >= 0 ? mask / 2 : unit);
    int k = 2 * (batch[0] + pair);
    bool used = here.columns > 0 && pair < batch[1], is_pair = !OWN || mask < 0;
    long long tile = blockIdx.y, at = (long long)here.y * g.map_width + here.x;
    Complex v[HELD];
    if (is_pair) {
        read_row(v, used ? products + ((tile * GROUP + unit) * g.step_y + here.row) * N : nullptr);
    } else {
        used = used && !records[k + mask % 2].same;
        read_row(v, used ? mask_products + ((tile * 2 * GROUP + mask) * g.step_y + here.row) * N : nullptr);
    }
    transform<1, true>(v, roots, exchange, threadIdx.x);
    if (BUFFERS == 1) exchanged<true>();  // the only buffer has been read
    if (OWN) {
        if (!is_pair) {
            Real *inverse = reinterpret_cast<Real *>(exchange.now);
            #pragma unroll
            for (int e = 0; e < HELD; ++e) inverse[threadIdx.x + e * THREADS] = inverse_sigma(v[e], floors);
        }
        __syncthreads();
    }
    Best best = {};
    if (is_pair && used) {
        const Real *first = sigma + at, *second = first;
        if (OWN) {
            first = reinterpret_cast<Real *>(exchange.now + (GROUP + unit) * N) + threadIdx.x;
            second = first + (records[k + 1].same ? 0 : 2 * N);
        }
        best = score_pair(g, here, turns + k, records + k, v, unscale, first, second);
    }
    if (is_pair && unit > 0) {
        Real *scores = reinterpret_cast<Real *>(exchange.now);
        int *indices = reinterpret_cast<int *>(scores + N);
        #pragma unroll
        for (int e = 0; e < HELD; ++e) {
            scores[threadIdx.x + e * THREADS] = best.scored >> e & 1 ? best.score[e] : Real(NOTHING);
            indices[threadIdx.x + e * THREADS] = best.at(e);
        }
    }
    if (GROUP > 1) __syncthreads();
    if (unit > 0) return;
    #pragma unroll
    for (int e = 0; e < HELD; ++e) {
        Real most = best.scored >> e & 1 ? best.score[e] : Real(NOTHING);
        int k_most = best.at(e);
        #pragma unroll
        for (int other = 1; other < GROUP; ++other) {
            const Real *scores = reinterpret_cast<const Real *>(exchange.now + other * N);
            int i = threadIdx.x + e * THREADS, k_other = reinterpret_cast<const int *>(scores + N)[i];
            if (better(scores[i], k_other, most, k_most)) most = scores[i], k_most = k_other;
        }
        long long place = at + e * THREADS;
        if (k_most >= 0 && here.counts(e) && better(most, k_most, score[place], index[place])) {
            score[place] = most;
            index[place] = k_most;
        }
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
