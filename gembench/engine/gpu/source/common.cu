// What the device has and the host's compiler lacks, and pixels of either precision.

#ifdef EMULATED
#define SEPARATE inline
#else
#define SEPARATE __noinline__
extern __shared__ __align__(16) unsigned char shared_bytes[];

__device__ inline void *shared_memory() { return shared_bytes; }

__device__ inline unsigned to_halves(float x, float y)
{
    unsigned bits;
    asm("{ .reg .f16 l, h; cvt.rn.f16.f32 l, %1; cvt.rn.f16.f32 h, %2; mov.b32 %0, {l, h}; }"
        : "=r"(bits) : "f"(x), "f"(y));
    return bits;
}

__device__ inline void from_halves(unsigned bits, float &x, float &y)
{
    asm("{ .reg .f16 l, h; mov.b32 {l, h}, %2; cvt.f32.f16 %0, l; cvt.f32.f16 %1, h; }"
        : "=f"(x), "=f"(y) : "r"(bits));
}
#endif

// frame: float, or double if wide
__device__ inline double pixel(const void *frame, int wide, long long i)
{
    return wide ? static_cast<const double *>(frame)[i] : double(static_cast<const float *>(frame)[i]);
}
