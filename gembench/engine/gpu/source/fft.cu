// Transforms of N points by N / 8 threads in registers and shared memory: Stockham's autosort, radices 8, 4, 2.
//
// Thread t holds the points t + e * THREADS, e = 0..7, before and after a transform. All are unnormalised.

constexpr int HELD = 8;
constexpr int THREADS = N / HELD;

struct alignas(2 * sizeof(Real)) Complex {
    Real x, y;
};

__device__ inline Complex operator+(Complex a, Complex b) { return {a.x + b.x, a.y + b.y}; }
__device__ inline Complex operator-(Complex a, Complex b) { return {a.x - b.x, a.y - b.y}; }
__device__ inline Complex operator*(Real s, Complex a) { return {s * a.x, s * a.y}; }
__device__ inline Complex operator*(Complex a, Complex b)
{
    return {a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x};
}
__device__ inline Complex conjugate(Complex a) { return {a.x, -a.y}; }

// A complex number as memory holds it: in full, or as two halves limited to what a half can hold.
struct Full {
    Complex value;
    __device__ Complex load() const { return value; }
    __device__ static Full of(Complex a) { return {a}; }
};

struct Halves {
    unsigned bits;
    __device__ Complex load() const
    {
        float x, y;
        from_halves(bits, x, y);
        return {Real(x), Real(y)};
    }
    __device__ static float limited(Real a) { return fminf(fmaxf(float(a), -65504.0f), 65504.0f); }
    __device__ static Halves of(Complex a) { return {to_halves(limited(a.x), limited(a.y))}; }
};

// Shared memory through which the threads of one transform exchange points. Two buffers in turn: a buffer is
// written again only after the next exchange's barrier, so that one barrier an exchange suffices. Points are
// permuted so that no 16 neighbouring threads meet in a bank.
struct Exchange {
    Complex *now, *other;
    int stride;
    __device__ Complex &at(int i) { return now[(i ^ (i >> 3 & 15)) * stride]; }
    __device__ void turn()
    {
        Complex *used = now;
        now = other;
        other = used;
    }
};

template <int SIGN> __device__ inline Complex quarter_turn(Complex a)  // a * exp(SIGN i pi / 2)
{
    return SIGN > 0 ? Complex{-a.y, a.x} : Complex{a.y, -a.x};
}

template <int SIGN> __device__ inline void dft2(Complex &a, Complex &b)
{
    Complex difference = a - b;
    a = a + b;
    b = difference;
}

template <int SIGN> __device__ inline void dft4(Complex &a, Complex &b, Complex &c, Complex &d)
{
    dft2<SIGN>(a, c);
    dft2<SIGN>(b, d);
    Complex odd = quarter_turn<SIGN>(d), even = c, sum = a, other = b;
    a = sum + other;
    b = even + odd;
    c = sum - other;
    d = even - odd;
}

template <int SIGN> __device__ inline void dft8(Complex (&v)[HELD])
{
    dft4<SIGN>(v[0], v[2], v[4], v[6]);
    dft4<SIGN>(v[1], v[3], v[5], v[7]);
    constexpr Real r = Real(0.70710678118654752440);
    Complex o1 = r * (v[3] + quarter_turn<SIGN>(v[3])), o2 = quarter_turn<SIGN>(v[5]);
    Complex o3 = r * (quarter_turn<SIGN>(v[7]) - v[7]), o0 = v[1];
    Complex e0 = v[0], e1 = v[2], e2 = v[4], e3 = v[6];
    v[0] = e0 + o0, v[1] = e1 + o1, v[2] = e2 + o2, v[3] = e3 + o3;
    v[4] = e0 - o0, v[5] = e1 - o1, v[6] = e2 - o2, v[7] = e3 - o3;
}

// v[q + r * HELD / R] becomes the r-th value of the q-th transform of R points.
template <int SIGN, int R> __device__ inline void butterflies(Complex (&v)[HELD])
{
    if constexpr (R == 8) {
        dft8<SIGN>(v);
    } else if constexpr (R == 4) {
        dft4<SIGN>(v[0], v[2], v[4], v[6]);
        dft4<SIGN>(v[1], v[3], v[5], v[7]);
    } else {
        for (int q = 0; q < 4; ++q) dft2<SIGN>(v[q], v[q + 4]);
    }
}

// Multiply the r-th point of each butterfly by w^r; w by table, its powers by products of at most three steps.
template <int SIGN, int R, int DONE>
__device__ inline void twiddles(Complex (&v)[HELD], const Complex *roots, int t)
{
    constexpr int Q = HELD / R;
    #pragma unroll
    for (int q = 0; q < Q; ++q) {
        Complex w = roots[(t + q * THREADS) % DONE * (N / (DONE * R))];
        if (SIGN < 0) w = conjugate(w);
        Complex power[R] = {{Real(1), Real(0)}, w};
        #pragma unroll
        for (int r = 2; r < R; ++r) power[r] = power[r / 2] * power[r - r / 2];
        #pragma unroll
        for (int r = 1; r < R; ++r) v[q + r * Q] = v[q + r * Q] * power[r];
    }
}

// roots: exp(2 pi i j / N), j = 0..N-1; DONE: the points of the transforms that are finished
template <int SIGN, int DONE = 1>
__device__ inline void transform(Complex (&v)[HELD], const Complex *roots, Exchange &shared, int t)
{
    constexpr int R = N / DONE < HELD ? N / DONE : HELD, Q = HELD / R;
    if constexpr (DONE > 1) twiddles<SIGN, R, DONE>(v, roots, t);
    butterflies<SIGN, R>(v);
    if constexpr (DONE * R < N) {
        #pragma unroll
        for (int e = 0; e < HELD; ++e) {
            int j = t + e % Q * THREADS, r = e / Q;
            shared.at(j / DONE * DONE * R + j % DONE + r * DONE) = v[e];
        }
        __syncthreads();
        #pragma unroll
        for (int e = 0; e < HELD; ++e) v[e] = shared.at(t + e * THREADS);
        shared.turn();
        transform<SIGN, DONE * R>(v, roots, shared, t);
    }
}

// A block of transforms along rows: threadIdx.x is t.
__device__ inline Exchange row_exchange(Complex *shared)
{
    Complex *mine = shared + (threadIdx.z * blockDim.y + threadIdx.y) * N;
    return {mine, mine + blockDim.y * blockDim.z * N, 1};
}

// A block of COLUMNS neighbouring transforms along columns: threadIdx (column, t).
__device__ inline Exchange column_exchange(Complex *shared)
{
    return {shared + threadIdx.x, shared + threadIdx.x + COLUMNS * N, COLUMNS};
}
