"""exp, tanh and sigmoid of one number as polynomials, which compilers vectorise to 16 numbers at a time.

numba's own math.exp and math.tanh call the C library once per number, 5 to 20 times slower. Call these inside kernels only.
Coefficients: Cephes (Moshier 1989). Every function accepts infinities and nan, and rounds in its argument's dtype.
"""

import numpy as np
from numba import types
from numba.extending import overload

from refmer.kernels import njit

# contract alone: with "nnan" or "ninf" the optimiser may give wrong results for nan and infinity
OPTIONS = njit.keywords | {"forceinline": True, "fastmath": {"contract"}}


def exp(x):
    """e^x = 2^n e^r, |r| <= ln(2) / 2. Error: 2 ulp, subnormal results included."""


def tanh(x):
    """tanh x: a polynomial in x^2 for |x| < 0.625, else 1 - 2 / (e^2x + 1). Error: 3 ulp."""


def sigmoid(x):
    """1 / (1 + e^-x). Error: 4 ulp where the result is a normal number, else it may be 0."""


def normal_cdf(x):
    """(1 + erf(x / sqrt(2))) / 2. Error: 2 ulp of 1."""


def log1p(x):
    """log(1 + x) for 0 <= x <= 1, by its series in x / (2 + x). Error: 2 ulp."""


@overload(exp, jit_options=OPTIONS)
def _exp(x):
    return _exp32 if x == types.float32 else _exp64


def _exp32(x):
    f = np.float32
    x = f(89) if x > f(89) else x  # written so that nan falls through
    x = f(-104) if x < f(-104) else x
    rounded = np.float32(x * f(1.4426950408889634) + f(12582912))  # 1.5 * 2^23: the last bits are the integer nearest x / ln 2
    n = np.int32(rounded.view(np.int32) - 0x4B400000)
    k = rounded - f(12582912)
    r = x - k * f(0.693359375) + k * f(2.12194440e-4)
    p = f(1.9875691500e-4)
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1):
        p = p * r + f(c)
    half = n >> 1  # 2^n in two factors: 2^n itself may be no normal number
    low = np.int32((half + 127) << 23)
    high = np.int32((n - half + 127) << 23)
    return (p * r * r + r + f(1)) * low.view(np.float32) * high.view(np.float32)


def _exp64(x):
    x = 710.0 if x > 710.0 else x
    x = -746.0 if x < -746.0 else x
    rounded = np.float64(x * 1.4426950408889634 + 6755399441055744.0)  # 1.5 * 2^52
    n = np.int64(rounded.view(np.int64) - 0x4338000000000000)
    k = rounded - 6755399441055744.0
    r = x - k * 6.93145751953125e-1 - k * 1.42860682030941723212e-6
    z = r * r
    p = r * ((1.26177193074810590878e-4 * z + 3.02994407707441961300e-2) * z + 9.99999999999999999910e-1)
    q = ((3.00198505138664455042e-6 * z + 2.52448340349684104192e-3) * z + 2.27265548208155028766e-1) * z + 2.0
    half = n >> 1
    low = np.int64((half + 1023) << 52)
    high = np.int64((n - half + 1023) << 52)
    return (1.0 + 2.0 * (p / (q - p))) * low.view(np.float64) * high.view(np.float64)


@overload(tanh, jit_options=OPTIONS)
def _tanh(x):
    return _tanh32 if x == types.float32 else _tanh64


def _tanh32(x):
    f = np.float32
    z = x * x
    p = f(-5.70498872745e-3)
    for c in (2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1):
        p = p * z + f(c)
    large = f(1) - f(2) / (exp(abs(x) + abs(x)) + f(1))
    large = -large if x < f(0) else large
    return x * (p * z + f(1)) if abs(x) < f(0.625) else large  # a product: -0.0 stays -0.0


def _tanh64(x):
    z = x * x
    p = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z - 1.61468768441708447952e3
    q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3
    large = 1.0 - 2.0 / (exp(abs(x) + abs(x)) + 1.0)
    large = -large if x < 0.0 else large
    return x * (z * (p / q) + 1.0) if abs(x) < 0.625 else large


@overload(sigmoid, jit_options=OPTIONS)
def _sigmoid(x):
    one = np.float32(1) if x == types.float32 else 1.0

    def sigmoid(x):
        return one / (one + exp(-x))

    return sigmoid


@overload(normal_cdf, jit_options=OPTIONS)
def _normal_cdf(x):
    f = np.float32 if x == types.float32 else np.float64

    def normal_cdf(x):
        t = x * f(0.7071067811865476)
        z = t * t
        p, q = f(9.60497373987051638749), f(1)
        for c in (9.00260197203842689217e1, 2.23200534594684319226e3, 7.00332514112805075473e3, 5.55923013010394962768e4):
            p = p * z + f(c)
        for c in (
            3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3, 2.26290000613890934246e4,
            4.92673942608635921086e4
        ):  # fmt: skip
            q = q * z + f(c)
        erf = t * (p / q)
        u = abs(t)
        u = f(8) if u > f(8) else u  # beyond, exp(-z) determines the result
        p, q = f(2.46196981473530512524e-10), f(1)
        for c in (
            5.64189564831068821977e-1, 7.46321056442269912687e0, 4.86371970985681366614e1, 1.96520832956077098242e2,
            5.26445194995477358631e2, 9.34528527171957607540e2, 1.02755188689515710272e3, 5.57535335369399327526e2
        ):  # fmt: skip
            p = p * u + f(c)
        for c in (
            1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2, 9.75708501743205489753e2,
            1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3, 5.57535340817727675546e2
        ):  # fmt: skip
            q = q * u + f(c)
        tail = f(0.5) * exp(-z) * (p / q)
        tail = f(1) - tail if x > f(0) else tail
        return f(0.5) + f(0.5) * erf if u < f(1) else tail

    return normal_cdf


@overload(log1p, jit_options=OPTIONS)
def _log1p(x):
    f, terms = (np.float32, 8) if x == types.float32 else (np.float64, 17)

    def log1p(x):
        s = x / (f(2) + x)  # log(1 + x) = 2 artanh(s) = 2 (s + s^3 / 3 + s^5 / 5 + ...), s <= 1 / 3
        z = s * s
        p = f(0)
        for k in range(terms - 1, 0, -1):
            p = p * z + f(1) / f(2 * k + 1)
        return f(2) * (s + s * (p * z))

    return log1p
