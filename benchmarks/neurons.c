/* What one would write by hand for `python benchmarks/neurons.py`: one array a state, time outside, neurons inside.

   Every function advances neurons begin <= k < end by `steps` steps of `dt` ms under constant currents and counts their
   spikes. gcc -O3 -ffast-math vectorises each inner loop, exp included (libmvec); -fopt-info-vec shows it. Parameters
   are literals, as in a program for one model. */

#include <math.h>

#define ARRAYS const double *restrict current, double *restrict count

/* x / (1 - exp(-x)) with its limit at 0 */
static inline double linoid(double x) {
    int near = fabs(x) < 1e-5;
    double away = near ? 1e-5 : x;
    return near ? 1.0 + 0.5 * x : away / (1.0 - exp(-away));
}

#define HH_RATES(v)                                                                                                   \
    double am = linoid(0.1 * ((v) + 40.0)), bm = 4.0 * exp(((v) + 65.0) * (-1.0 / 18.0));                             \
    double ah = 0.07 * exp(((v) + 65.0) * -0.05), bh = 1.0 / (1.0 + exp(((v) + 35.0) * -0.1));                        \
    double an = 0.1 * linoid(0.1 * ((v) + 55.0)), bn = 0.125 * exp(((v) + 65.0) * -0.0125);

static inline void hh_slopes(double v, double m, double h, double n, double i, double *dv, double *dm, double *dh,
                             double *dn) {
    HH_RATES(v)
    double n2 = n * n;
    *dv = i - 120.0 * m * m * m * h * (v - 50.0) - 36.0 * n2 * n2 * (v + 77.0) - 0.3 * (v + 54.387);
    *dm = am * (1.0 - m) - bm * m;
    *dh = ah * (1.0 - h) - bh * h;
    *dn = an * (1.0 - n) - bn * n;
}

void hh_rk4(long begin, long end, long steps, double dt, ARRAYS, double *restrict V, double *restrict M,
            double *restrict H, double *restrict N) {
    double half = 0.5 * dt, sixth = dt / 6.0;
    for (long t = 0; t < steps; t++)
        for (long k = begin; k < end; k++) {
            double v = V[k], m = M[k], h = H[k], n = N[k], i = current[k];
            double v1, v2, v3, v4, m1, m2, m3, m4, h1, h2, h3, h4, n1, n2, n3, n4;
            hh_slopes(v, m, h, n, i, &v1, &m1, &h1, &n1);
            hh_slopes(v + half * v1, m + half * m1, h + half * h1, n + half * n1, i, &v2, &m2, &h2, &n2);
            hh_slopes(v + half * v2, m + half * m2, h + half * h2, n + half * n2, i, &v3, &m3, &h3, &n3);
            hh_slopes(v + dt * v3, m + dt * m3, h + dt * h3, n + dt * n3, i, &v4, &m4, &h4, &n4);
            double u = v + sixth * (v1 + 2.0 * (v2 + v3) + v4);
            M[k] = m + sixth * (m1 + 2.0 * (m2 + m3) + m4);
            H[k] = h + sixth * (h1 + 2.0 * (h2 + h3) + h4);
            N[k] = n + sixth * (n1 + 2.0 * (n2 + n3) + n4);
            count[k] += v < -30.0 && u >= -30.0 ? 1.0 : 0.0;
            V[k] = u;
        }
}

/* y' = up - rate y over dt, both held */
static inline double relaxed(double y, double up, double rate, double dt) {
    double rest = up / rate;
    return rest + (y - rest) * exp(-rate * dt);
}

void hh_exponential_euler(long begin, long end, long steps, double dt, ARRAYS, double *restrict V,
                          double *restrict M, double *restrict H, double *restrict N) {
    for (long t = 0; t < steps; t++)
        for (long k = begin; k < end; k++) {
            double v = V[k], m = M[k], h = H[k], n = N[k];
            HH_RATES(v)
            double n2 = n * n, g_na = 120.0 * m * m * m * h, g_k = 36.0 * n2 * n2;
            double u = relaxed(v, current[k] + g_na * 50.0 - g_k * 77.0 - 0.3 * 54.387, g_na + g_k + 0.3, dt);
            M[k] = relaxed(m, am, am + bm, dt);
            H[k] = relaxed(h, ah, ah + bh, dt);
            N[k] = relaxed(n, an, an + bn, dt);
            count[k] += v < -30.0 && u >= -30.0 ? 1.0 : 0.0;
            V[k] = u;
        }
}

/* tau 10, threshold 15, reset to 0; exact */
void lif(long begin, long end, long steps, double dt, ARRAYS, double *restrict V) {
    double keep = exp(-dt / 10.0), gain = 1.0 - keep;
    for (long t = 0; t < steps; t++)
        for (long k = begin; k < end; k++) {
            double v = keep * V[k] + gain * current[k];
            double fired = v >= 15.0 ? 1.0 : 0.0;
            count[k] += fired;
            V[k] = v - fired * v;
        }
}

static inline void izhikevich_slopes(double v, double u, double i, double *dv, double *du) {
    *dv = 0.04 * v * v + 5.0 * v + 140.0 - u + i;
    *du = 0.02 * (0.2 * v - u);
}

void izhikevich_rk4(long begin, long end, long steps, double dt, ARRAYS, double *restrict V, double *restrict U) {
    double half = 0.5 * dt, sixth = dt / 6.0;
    for (long t = 0; t < steps; t++)
        for (long k = begin; k < end; k++) {
            double v = V[k], u = U[k], i = current[k], v1, v2, v3, v4, u1, u2, u3, u4;
            izhikevich_slopes(v, u, i, &v1, &u1);
            izhikevich_slopes(v + half * v1, u + half * u1, i, &v2, &u2);
            izhikevich_slopes(v + half * v2, u + half * u2, i, &v3, &u3);
            izhikevich_slopes(v + dt * v3, u + dt * u3, i, &v4, &u4);
            v += sixth * (v1 + 2.0 * (v2 + v3) + v4);
            u += sixth * (u1 + 2.0 * (u2 + u3) + u4);
            double fired = v >= 30.0 ? 1.0 : 0.0;
            count[k] += fired;
            V[k] = v + fired * (-65.0 - v);
            U[k] = u + fired * 8.0;
        }
}

static inline void adex_slopes(double v, double w, double i, double *dv, double *dw) {
    double held = v < 0.0 ? v : 0.0;
    *dv = (60.0 * exp((held + 50.4) * 0.5) - 30.0 * (held + 70.6) - w + i) / 281.0;
    *dw = (4.0 * (held + 70.6) - w) / 144.0;
}

void adex_rk4(long begin, long end, long steps, double dt, ARRAYS, double *restrict V, double *restrict W) {
    double half = 0.5 * dt, sixth = dt / 6.0;
    for (long t = 0; t < steps; t++)
        for (long k = begin; k < end; k++) {
            double v = V[k], w = W[k], i = current[k], v1, v2, v3, v4, w1, w2, w3, w4;
            adex_slopes(v, w, i, &v1, &w1);
            adex_slopes(v + half * v1, w + half * w1, i, &v2, &w2);
            adex_slopes(v + half * v2, w + half * w2, i, &v3, &w3);
            adex_slopes(v + dt * v3, w + dt * w3, i, &v4, &w4);
            v += sixth * (v1 + 2.0 * (v2 + v3) + v4);
            w += sixth * (w1 + 2.0 * (w2 + w3) + w4);
            double fired = v >= 0.0 ? 1.0 : 0.0;
            count[k] += fired;
            V[k] = v + fired * (-70.6 - v);
            W[k] = w + fired * 80.5;
        }
}
