// The passes between the transforms of the paper's method, one thread a number or a place. Real: float or double.

struct Complex {
    Real x, y;
};

// out = frame conj(spectrum); out may be either of them.
extern "C" __global__ void __launch_bounds__(256) product(
    const Complex *frame, const Complex *spectrum, long long size, Complex *out)
{
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= size) return;
    Complex a = frame[i], b = spectrum[i];
    out[i] = {a.x * b.x + a.y * b.y, a.y * b.x - a.x * b.y};
}

// NCC of template k into the running maximum. numerator, mean, square: rows of `pitch` numbers, read from
// `from`; score, index: rows of `map_pitch`, changed from `to`; floors: a, b for a * mean of T^2 + b.
extern "C" __global__ void __launch_bounds__(256) improve(
    const Real *numerator, const Real *mean, const Real *square, const Real *floors, int pitch, long long from,
    int width, int map_pitch, long long to, int k, Real *score, int *index)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= width) return;
    long long at = from + (long long)blockIdx.y * pitch + i, place = to + (long long)blockIdx.y * map_pitch + i;
    Real moment = square[at] + Real(1), variance = moment - mean[at] * mean[at];
    Real ncc = variance > floors[0] * moment + floors[1] ? numerator[at] / sqrt(variance) : Real(0);
    if (ncc > score[place] || (ncc == score[place] && k < index[place])) {
        score[place] = ncc;
        index[place] = k;
    }
}
