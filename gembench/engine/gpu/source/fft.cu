// Transforms of N points by N / HELD threads in registers and shared memory: Stockham's autosort, radices HELD and
// what is left. Thread t holds the points t + e * THREADS, e < HELD, before and after. All are unnormalised.
//
// HELD is 8, 16 or 32: the more points a thread holds, the fewer exchanges, and the more registers it takes.

constexpr int THREADS = N / HELD;
constexpr int LOG_HELD = HELD == 8 ? 3 : HELD == 16 ? 4 : 5;
constexpr int BUFFERS = HELD * HELD < N ? 2 : 1;  // more than one exchange, or one

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

// Shared memory through which the threads of one transform exchange points. Where there are several exchanges, two
// buffers take turns: a buffer is written again only after the next exchange's barrier, so that one barrier an
// exchange suffices. Points are permuted so that no 16 neighbouring threads meet in a bank.
struct Exchange {
    Complex *now, *other;
    int stride;
    __device__ Complex &at(int i) { return now[(i ^ (i >> LOG_HELD & 15)) * stride]; }
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

template <int SIGN> __device__ inline void dft8(Complex (&v)[8])
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

template <int J>  // cos(2 pi J / 32), J = 0..8
constexpr double COSINE = J == 0 ? 1 : J == 1 ? 0.98078528040323044913 : J == 2 ? 0.92387953251128675613
                        : J == 3 ? 0.83146961230254523708 : J == 4 ? 0.70710678118654752440
                        : J == 5 ? 0.55557023301960222474 : J == 6 ? 0.38268343236508977173
                        : J == 7 ? 0.19509032201612826785 : 0;

template <int SIGN, int J> __device__ inline Complex turn32(Complex a)  // a * exp(SIGN 2 pi i J / 32), J < 32
{
    if constexpr (J >= 8) {
        return turn32<SIGN, J - 8>(quarter_turn<SIGN>(a));
    } else if constexpr (J == 0) {
        return a;
    } else if constexpr (J == 4) {
        constexpr Real c = Real(COSINE<4>);
        return c * (a + quarter_turn<SIGN>(a));
    } else {
        constexpr Real c = Real(COSINE<J>), s = Real(COSINE<8 - J>);
        return c * a + s * quarter_turn<SIGN>(a);
    }
}

template <int SIGN, int R, int B, int I = 0> __device__ inline void turn_between(Complex (&a)[R])
{
    a[I] = turn32<SIGN, (I / B) * (I % B) * (32 / R) % 32>(a[I]);
    if constexpr (I + 1 < R) turn_between<SIGN, R, B, I + 1>(a);
}

// R points in a thread's registers. 16 = 4 x 4 and 32 = 4 x 8: point n1 B + n2 gives value k1 + 4 k2.
template <int SIGN, int R> __device__ inline void dft(Complex (&a)[R])
{
    if constexpr (R == 2) {
        dft2<SIGN>(a[0], a[1]);
    } else if constexpr (R == 4) {
        dft4<SIGN>(a[0], a[1], a[2], a[3]);
    } else if constexpr (R == 8) {
        dft8<SIGN>(a);
    } else {
        constexpr int B = R / 4;
        #pragma unroll
        for (int n2 = 0; n2 < B; ++n2) dft4<SIGN>(a[n2], a[n2 + B], a[n2 + 2 * B], a[n2 + 3 * B]);
        turn_between<SIGN, R, B>(a);
        Complex values[R];
        #pragma unroll
        for (int k1 = 0; k1 < 4; ++k1) {
            Complex part[B];
            #pragma unroll
            for (int n2 = 0; n2 < B; ++n2) part[n2] = a[k1 * B + n2];
            dft<SIGN, B>(part);
            #pragma unroll
            for (int k2 = 0; k2 < B; ++k2) values[k1 + 4 * k2] = part[k2];
        }
        #pragma unroll
        for (int k = 0; k < R; ++k) a[k] = values[k];
    }
}

// Multiply point i by w^i, i < FILLED, w = exp(SIGN 2 pi i / R).
template <int SIGN, int R, int FILLED, int I = 0> __device__ inline void turn_filled(Complex (&a)[R / 2])
{
    a[I] = turn32<SIGN, I * (32 / R)>(a[I]);
    if constexpr (I + 1 < FILLED) turn_filled<SIGN, R, FILLED, I + 1>(a);
}

// R points of which those from FILLED on are zeros, whatever a holds there: even and odd values are transforms of
// half as many points.
template <int SIGN, int R, int FILLED> __device__ inline void dft_filled(Complex (&a)[R])
{
    if constexpr (FILLED == R) {
        dft<SIGN, R>(a);
    } else {
        Complex even[R / 2], odd[R / 2];
        #pragma unroll
        for (int i = 0; i < FILLED; ++i) even[i] = odd[i] = a[i];
        turn_filled<SIGN, R, FILLED>(odd);
        dft_filled<SIGN, R / 2, FILLED>(even);
        dft_filled<SIGN, R / 2, FILLED>(odd);
        #pragma unroll
        for (int k = 0; k < R / 2; ++k) a[2 * k] = even[k], a[2 * k + 1] = odd[k];
    }
}

// v[q + r * HELD / R] becomes the r-th value of the q-th transform of R points.
template <int SIGN, int R> __device__ inline void butterflies(Complex (&v)[HELD])
{
    constexpr int Q = HELD / R;
    #pragma unroll
    for (int q = 0; q < Q; ++q) {
        Complex a[R];
        #pragma unroll
        for (int r = 0; r < R; ++r) a[r] = v[q + r * Q];
        dft<SIGN, R>(a);
        #pragma unroll
        for (int r = 0; r < R; ++r) v[q + r * Q] = a[r];
    }
}

// Multiply the r-th point of each butterfly by w^r: w^1..w^3 and w^4, w^8, ... by table, the others are products of
// two; up to radix 8 only w is, and its powers are products of at most three steps.
template <int SIGN, int R, int DONE>
__device__ inline void twiddles(Complex (&v)[HELD], const Complex *roots, int t)
{
    constexpr int Q = HELD / R, STEP = N / (DONE * R);
    #pragma unroll
    for (int q = 0; q < Q; ++q) {
        int j = (t + q * THREADS) % DONE * STEP;
        Complex w = roots[j];
        if (SIGN < 0) w = conjugate(w);
        if constexpr (R <= 8) {
            Complex power[R] = {{Real(1), Real(0)}, w};
            #pragma unroll
            for (int r = 2; r < R; ++r) power[r] = power[r / 2] * power[r - r / 2];
            #pragma unroll
            for (int r = 1; r < R; ++r) v[q + r * Q] = v[q + r * Q] * power[r];
        } else {
            Complex low[4] = {{Real(1), Real(0)}, w, roots[2 * j], roots[3 * j]};
            if (SIGN < 0) low[2] = conjugate(low[2]), low[3] = conjugate(low[3]);
            #pragma unroll
            for (int r = 1; r < 4; ++r) v[q + r * Q] = v[q + r * Q] * low[r];
            #pragma unroll
            for (int high = 4; high < R; high += 4) {
                Complex power = roots[high * j];
                if (SIGN < 0) power = conjugate(power);
                v[q + high * Q] = v[q + high * Q] * power;
                #pragma unroll
                for (int r = 1; r < 4; ++r) v[q + (high + r) * Q] = v[q + (high + r) * Q] * (power * low[r]);
            }
        }
    }
}

// The threads of a transform have written, and may read: those of a row may all be of one warp.
template <bool ROW> __device__ inline void exchanged()
{
    if constexpr (ROW && THREADS <= 32)
        __syncwarp();
    else
        __syncthreads();
}

constexpr int FILLED = HELD / 4, FEW = FILLED * THREADS;

// Every thread of the block must call, whatever it holds: a warp may have threads of several transforms.
// roots: exp(2 pi i j / N), j = 0..N-1; ROW: see `row_exchange`; DONE: the points of the transforms that are finished
// few: whether all points from FEW on are zeros, so that the first butterflies are smaller
template <int SIGN, bool ROW, int DONE = 1>
__device__ inline void transform(
    Complex (&v)[HELD], const Complex *roots, Exchange &shared, int t, bool few = false)
{
    constexpr int R = N / DONE < HELD ? N / DONE : HELD, Q = HELD / R;
    if constexpr (DONE > 1) twiddles<SIGN, R, DONE>(v, roots, t);
    if (DONE == 1 && few)
        dft_filled<SIGN, HELD, FILLED>(v);
    else
        butterflies<SIGN, R>(v);
    if constexpr (DONE * R < N) {
        #pragma unroll
        for (int e = 0; e < HELD; ++e) {
            int j = t + e % Q * THREADS, r = e / Q;
            shared.at(j / DONE * DONE * R + j % DONE + r * DONE) = v[e];
        }
        exchanged<ROW>();
        #pragma unroll
        for (int e = 0; e < HELD; ++e) v[e] = shared.at(t + e * THREADS);
        shared.turn();
        transform<SIGN, ROW, DONE * R>(v, roots, shared, t);
    }
}

// A block of transforms along rows: threadIdx.x is t.
__device__ inline Exchange row_exchange(Complex *shared)
{
    Complex *own = shared + (threadIdx.z * blockDim.y + threadIdx.y) * N;
    return {own, own + (BUFFERS - 1) * blockDim.y * blockDim.z * N, 1};
}

// A block of COLUMNS neighbouring transforms along columns: threadIdx (column, t).
__device__ inline Exchange column_exchange(Complex *shared)
{
    return {shared + threadIdx.x, shared + threadIdx.x + (BUFFERS - 1) * COLUMNS * N, COLUMNS};
}
