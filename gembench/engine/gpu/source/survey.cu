// What is known of every turned template before any is correlated, and the moments of a micrograph.
// Sums are taken in a fixed order, so that they are the same bits every time.

template <class Operation>
__device__ inline double reduced(double value, double *shared, Operation operation)
{
    __syncthreads();
    shared[threadIdx.x] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) shared[threadIdx.x] = operation(shared[threadIdx.x], shared[threadIdx.x + half]);
        __syncthreads();
    }
    return shared[0];
}

struct Sum {
    __device__ double operator()(double a, double b) const { return a + b; }
};
struct Most {
    __device__ double operator()(double a, double b) const { return fmax(a, b); }
};

// One block a template: its mask's size and box, mean and scale under it, whether its neighbour has the same mask.
extern "C" __global__ void __launch_bounds__(256) survey(
    const double *views, const unsigned char *masks, const Turn *turns, Record *records, int height, int width)
{
    double *shared = static_cast<double *>(shared_memory());
    Bank bank = {views, masks, turns, records, height, width};
    int k = blockIdx.x, before = k % 2 ? k - 1 : k;
    double count = 0, sum = 0, peak = 0, different = 0;
    double top = -height, bottom = -1, left = -width, right = -1;  // the most of -y, y, -x, x
    for (int i = threadIdx.x; i < height * width; i += blockDim.x) {
        int y = i / width, x = i % width;
        bool inside = mask_at(bank, k, y, x);
        if (before != k && inside != mask_at(bank, before, y, x)) different = 1;
        if (!inside) continue;
        double value = template_at(bank, k, y, x);
        count += 1;
        sum += value;
        peak = fmax(peak, fabs(value));
        top = fmax(top, -double(y)), bottom = fmax(bottom, double(y));
        left = fmax(left, -double(x)), right = fmax(right, double(x));
    }
    count = reduced(count, shared, Sum());
    double mean = reduced(sum, shared, Sum()) / fmax(count, 1.0), squares = 0;
    for (int i = threadIdx.x; i < height * width; i += blockDim.x)
        if (mask_at(bank, k, i / width, i % width)) {
            double deviation = template_at(bank, k, i / width, i % width) - mean;
            squares += deviation * deviation;
        }
    double sigma = sqrt(reduced(squares, shared, Sum()) / fmax(count, 1.0));
    peak = reduced(peak, shared, Most());
    different = reduced(different, shared, Most());
    top = -reduced(top, shared, Most()), bottom = reduced(bottom, shared, Most());
    left = -reduced(left, shared, Most()), right = reduced(right, shared, Most());
    if (threadIdx.x > 0) return;
    bool varies = sigma > 1e-9 * peak;  // as normalise.normalised_weights
    records[k] = {mean, varies ? 1 / (sigma * count) : 0.0, int(count), int(top), int(bottom), int(left),
                  int(right), before != k && different == 0};
}

// partial[block]: the sum of d (power 1), d^2 (2) or ((d / sigma)^2 - 1)^2 (4) with d = pixel - mean.
extern "C" __global__ void __launch_bounds__(256) moment(
    const void *frame, int wide, long long size, double mean, double sigma, int power, double *partial)
{
    double *shared = static_cast<double *>(shared_memory());
    double sum = 0;
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < size; i += gridDim.x * blockDim.x) {
        double d = pixel(frame, wide, i) - mean, t = d / sigma;
        sum += power == 1 ? d : power == 2 ? d * d : (t * t - 1) * (t * t - 1);
    }
    sum = reduced(sum, shared, Sum());
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}
