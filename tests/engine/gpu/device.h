// What CUDA C++ gives a kernel, for the host's compiler: blocks run one after the other, and the threads of a block
// as fibres that change places at every barrier.
//
// A device's barrier is an instruction, and all threads of a warp must reach the same one; threads that wait at two
// of them wait for ever. So device functions are inlined as a device's compiler inlines them, every barrier knows its
// call site, and a launch counts the blocks whose threads did not all pass the same barriers. A warp runs up to the
// block's next barrier before the next warp begins, the last warp first in every other block: what needs the
// block's barrier is not served by a warp's.
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>
#include <ucontext.h>

#define EMULATED
#define __global__
#define __device__ __attribute__((always_inline))
#define __host__
#define __launch_bounds__(...)

using std::fabs; using std::floor; using std::fmax; using std::fmin; using std::sqrt;
inline int max(int a, int b) { return a > b ? a : b; }
inline int min(int a, int b) { return a < b ? a : b; }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dmul_rn(double a, double b) { return a * b; }

struct Index3 { unsigned x, y, z; };
thread_local Index3 threadIdx, blockIdx, blockDim, gridDim;

inline unsigned half_bits(float x)  // to nearest even; |x| <= 65504
{
    double size = fabs(double(x));
    int exponent = size > 0 ? max(std::ilogb(size), -14) : -14;
    unsigned mantissa = unsigned(std::nearbyint(std::ldexp(size, 10 - exponent)));
    return (x < 0 ? 0x8000u : 0u) | (unsigned(exponent + 14) << 10) + mantissa;
}
inline float half_value(unsigned bits)
{
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double size = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
    return float(bits & 0x8000 ? -size : size);
}
inline unsigned to_halves(float x, float y) { return half_bits(x) | half_bits(y) << 16; }
inline void from_halves(unsigned bits, float &x, float &y) { x = half_value(bits & 65535), y = half_value(bits >> 16); }

namespace emulated {
thread_local unsigned char *shared;

struct Body {
    virtual void run() = 0;
};

// Fibres live as long as their host thread; each runs the body once a block.
struct Fibres {
    static constexpr size_t STACK = 64 << 10;
    enum Scope { WARP, BLOCK, END };
    struct Fibre {
        ucontext_t start;
        jmp_buf place;
        std::vector<unsigned char> stack;
        Index3 thread;
        bool begun = false;
        Scope scope = END;  // of the barrier that it waits at
        void *site = nullptr;  // where that barrier is called
        bool same(const Fibre &other) const { return scope == other.scope && site == other.site; }
    };
    std::vector<Fibre> fibres;
    ucontext_t outside;
    jmp_buf scheduler;
    Body *body = nullptr;
    Fibre *current = nullptr;

    static void loop();
    void pause()
    {
        if (_setjmp(current->place) == 0) _longjmp(scheduler, 1);
    }
    void resume(Fibre &fibre)
    {
        current = &fibre;
        threadIdx = fibre.thread;
        if (_setjmp(scheduler)) return;
        if (fibre.begun) _longjmp(fibre.place, 1);
        fibre.begun = true;
        setcontext(&fibre.start);
    }
    void prepare(size_t count)
    {
        if (fibres.size() >= count) return;
        fibres = std::vector<Fibre>(count);
        for (Fibre &fibre : fibres) {
            fibre.stack.resize(STACK);
            getcontext(&fibre.start);
            fibre.start.uc_stack.ss_sp = fibre.stack.data();
            fibre.start.uc_stack.ss_size = STACK;
            fibre.start.uc_link = &outside;
            makecontext(&fibre.start, loop, 0);
        }
    }
    void wait(Scope scope, void *site)
    {
        current->scope = scope, current->site = site;
        pause();
    }
    // The fibres first..last-1 to their next barrier of the block; says whether all passed the same barriers.
    bool warp(size_t first, size_t last)
    {
        bool together = true;
        do {
            for (size_t i = first; i < last; ++i)
                if (fibres[i].scope != END) resume(fibres[i]);
            for (size_t i = first; i < last; ++i) together = together && fibres[i].same(fibres[first]);
        } while (together && fibres[first].scope == WARP);
        return together;
    }
    // Every thread of a block to its end, or to where some wait at one barrier and others do not.
    void block(bool backwards)
    {
        size_t count = size_t(blockDim.x) * blockDim.y * blockDim.z, warps = (count + 31) / 32;
        prepare(count);
        for (size_t i = 0; i < count; ++i) {
            fibres[i].thread = {unsigned(i % blockDim.x), unsigned(i / blockDim.x % blockDim.y),
                                unsigned(i / blockDim.x / blockDim.y)};
            fibres[i].scope = BLOCK;
        }
        bool inside_warps = true, together = true;
        do {
            for (size_t i = 0; i < warps; ++i) {
                size_t first = 32 * (backwards ? warps - 1 - i : i);
                inside_warps = warp(first, std::min(first + 32, count)) && inside_warps;
            }
            for (size_t i = 0; i < count; i += 32) together = together && fibres[i].same(fibres[0]);
        } while (inside_warps && together && fibres[0].scope != END);
        diverged[0] += !inside_warps;
        diverged[1] += inside_warps && !together;
        if (!inside_warps || !together) fibres.clear();  // they are in the middle of a kernel
    }
    int diverged[2] = {};  // blocks whose threads part inside a warp, and those whose warps part
};
thread_local Fibres of_this_thread;

void Fibres::loop()
{
    for (;;) {
        of_this_thread.body->run();
        of_this_thread.wait(END, nullptr);
    }
}

template <class... Args> struct Call : Body {
    void (*kernel)(Args...);
    void **args;
    Call(void (*kernel)(Args...), void **args) : kernel(kernel), args(args) {}
    template <size_t... I> void with(std::index_sequence<I...>) { kernel(*static_cast<Args *>(args[I])...); }
    void run() override { with(std::index_sequence_for<Args...>()); }
};

// diverged: blocks whose threads did not all pass the same barriers, inside a warp or between warps
// some: run the first and the last block along each axis only
template <class... Args>
void launch(
    void (*kernel)(Args...), const unsigned *grid, const unsigned *block, size_t bytes, void **args, int *diverged,
    bool some)
{
    std::vector<unsigned char> memory(bytes + 64);
    shared = reinterpret_cast<unsigned char *>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
    Call<Args...> call(kernel, args);
    of_this_thread.body = &call;
    of_this_thread.diverged[0] = of_this_thread.diverged[1] = 0;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    for (unsigned z = 0; z < grid[2]; ++z)
        for (unsigned y = 0; y < grid[1]; ++y)
            for (unsigned x = 0; x < grid[0]; ++x) {
                auto inner = [&](unsigned i, int axis) { return i > 0 && i + 1 < grid[axis]; };
                if (some && (inner(x, 0) || inner(y, 1) || inner(z, 2))) continue;
                blockIdx = {x, y, z};
                std::fill(memory.begin(), memory.end(), 0xff);  // NaN, so that what nothing wrote is seen
                of_this_thread.block((x + y + z) % 2);
            }
    diverged[0] = of_this_thread.diverged[0], diverged[1] = of_this_thread.diverged[1];
}

__attribute__((noinline, noclone)) void barrier(Fibres::Scope scope)
{
    of_this_thread.wait(scope, __builtin_return_address(0));
}
}

inline void *shared_memory() { return emulated::shared; }
#define __syncthreads() emulated::barrier(emulated::Fibres::BLOCK)
#define __syncwarp() emulated::barrier(emulated::Fibres::WARP)
