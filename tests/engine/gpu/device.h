// What CUDA C++ gives a kernel, for the host's compiler: blocks run one after the other, and the threads of a block
// as fibres that change places at every barrier.
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>
#include <ucontext.h>

#define EMULATED
#define __global__
#define __device__
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
    struct Fibre {
        ucontext_t start;
        jmp_buf place;
        std::vector<unsigned char> stack;
        Index3 thread;
        bool begun = false, finished = true;
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
    // Every thread of a block to its next barrier, until all are at the end.
    void block()
    {
        size_t count = size_t(blockDim.x) * blockDim.y * blockDim.z;
        prepare(count);
        for (size_t i = 0; i < count; ++i) {
            fibres[i].thread = {unsigned(i % blockDim.x), unsigned(i / blockDim.x % blockDim.y),
                                unsigned(i / blockDim.x / blockDim.y)};
            fibres[i].finished = false;
        }
        for (size_t left = count; left > 0;) {
            size_t ended = 0;
            for (size_t i = 0; i < count; ++i) {
                if (fibres[i].finished) continue;
                resume(fibres[i]);
                ended += fibres[i].finished;
            }
            if (ended > 0 && ended < left) partly += 1;
            left -= ended;
        }
    }
    int partly = 0;  // blocks of which some threads ended while others waited at a barrier
};
thread_local Fibres of_this_thread;

void Fibres::loop()
{
    for (;;) {
        of_this_thread.body->run();
        of_this_thread.current->finished = true;
        of_this_thread.pause();
    }
}

template <class... Args> struct Call : Body {
    void (*kernel)(Args...);
    void **args;
    Call(void (*kernel)(Args...), void **args) : kernel(kernel), args(args) {}
    template <size_t... I> void with(std::index_sequence<I...>) { kernel(*static_cast<Args *>(args[I])...); }
    void run() override { with(std::index_sequence_for<Args...>()); }
};

// Returns the number of blocks whose threads did not all meet at the same barriers.
template <class... Args>
int launch(void (*kernel)(Args...), const unsigned *grid, const unsigned *block, size_t bytes, void **args)
{
    std::vector<unsigned char> memory(bytes + 64, 0xff);  // NaN, so that what nothing wrote is seen
    shared = reinterpret_cast<unsigned char *>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64);
    Call<Args...> call(kernel, args);
    of_this_thread.body = &call;
    of_this_thread.partly = 0;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    for (unsigned z = 0; z < grid[2]; ++z)
        for (unsigned y = 0; y < grid[1]; ++y)
            for (unsigned x = 0; x < grid[0]; ++x) {
                blockIdx = {x, y, z};
                of_this_thread.block();
            }
    return of_this_thread.partly;
}
}

inline void *shared_memory() { return emulated::shared; }
inline void __syncthreads() { emulated::of_this_thread.pause(); }
