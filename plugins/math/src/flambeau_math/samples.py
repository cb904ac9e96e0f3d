"""Sample calls of this distribution's records, for the conformance suite."""

from __future__ import annotations

from flambeau.plugin import OPS
from flambeau.testing import Samples, T, call

__all__ = ["SAMPLES"]

#: Stacks of matrices that are far from singular.
_SQUARE = [call(T(3, 3)), call(T(2, 4, 4)), call(T(0, 3, 3)), call(T(0, 0))]
_ANY = [call(T(3, 3)), call(T(4, 2)), call(T(2, 2, 3)), call(T(0, 3))]
_ONE = [call(T(3, 4, low=0.3, high=4)), call(T(low=0.3, high=2)), call(T(0, 2))]
#: Polynomials and the like, of which nobody asks gradients.
_ORDER = [
    call(T(3, 4, low=-1, high=1), T(4, low=0, high=5), _grad=False),
    call(T(3, low=-2, high=2), 3, _grad=False),
]
_MASKED = [call(T(3, 4), 1), call(T(3, 4), 0, mask=T(3, 4, kind="mask"), _grad=False)]

CALLS = {
    # the top level
    "diff": [call(T(3, 4)), call(T(3, 4), 2, 0), call(T(3), prepend=T(1), append=T(2))],
    "gradient": [call(T(4, 5)), call(T(6), spacing=2.0, edge_order=2)],
    "vander": [call(T(3)), call(T(4), 2), call(T(3), 4, True)],
    **dict.fromkeys(("trapezoid", "cumulative_trapezoid"), [call(T(3, 4)), call(T(3, 4), T(4)), call(T(3, 4), dx=0.5, dim=0)]),
    "cross": [call(T(4, 3), T(4, 3), 1), call(T(3, 4), T(3, 4), 0)],
    "kron": [call(T(2, 3), T(3, 2)), call(T(2), T(2, 2))],
    "renorm": [call(T(3, 4), 2, 0, 1.0)],
    "mode": [call(T(3, 4)), call(T(3, 4), 0, True)],
    "nanmedian": [call(T(5)), call(T(3, 5), 1)],
    **dict.fromkeys(("quantile", "nanquantile"), [call(T(5), 0.3), call(T(3, 4), 0.6, 1, True), call(T(3, 4), 0.6, 0, interpolation="nearest")]),
    **dict.fromkeys(("gcd", "lcm"), [call(T(3, 4), T(4)), call(T(), T(0))]),
    "ldexp": [call(T(3, 4), T(4)), call(T(), T(0))],
    "float_power": [call(T(3, 4, low=0.3), T(4, low=0.5)), call(T(3, low=0.3), 2)],
    "frexp": [call(T(3, 4)), call(T())],
    "heaviside": [call(T(3, 4), T(4))],
    "polar": [call(T(3, kind="float"), T(3, kind="float"))],
    "unique": [call(T(7, low=0, high=3))],
    "searchsorted": [call(T(5, low=0, high=0.1), T(3, low=-1, high=1), _grad=False)],
    "histc": [],
    "tensordot": [call(T(2, 3, 4), T(3, 4, 5)), call(T(2, 3), T(4, 3), ([1], [1]))],
    "combinations": [call(T(4, distinct=True), 2)],
    "rot90": [call(T(3, 4)), call(T(3, 4), 3)],
    "logcumsumexp": [call(T(3, 4), 1), call(T(3, 4), 0), call(T(5), -1), call(T(), 0), call(T(0, 3), 1)],
    "kthvalue": [call(T(3, 5, distinct=True), 2), call(T(5, distinct=True), 3, 0, True)],
    "median": [call(T(3, 5, distinct=True)), call(T(3, 5, distinct=True), 1), call(T(4, 2, distinct=True), 0, True)],
    "hash_tensor": [call(T(3, 4)), call(T(3, 4), 1)],
    # linalg
    **dict.fromkeys(("linalg.det", "linalg.slogdet", "linalg.inv", "linalg.inv_ex"), _SQUARE),
    "linalg.matrix_exp": [call(T(3, 3, low=-1, high=1)), call(T(2, 2, 2))],
    "linalg.matrix_power": [call(T(3, 3), 3), call(T(3, 3), -2), call(T(2, 2, 2), 0)],
    **dict.fromkeys(("linalg.lu", "linalg.lu_factor", "linalg.lu_factor_ex"), _ANY),
    "linalg.qr": [call(T(3, 3)), call(T(4, 2)), call(T(2, 3), "complete"), call(T(2, 4, 4), "complete", _grad=False)],
    "linalg.svdvals": _ANY,
    "linalg.pinv": [call(T(3, 3)), call(T(4, 2)), call(T(2, 2, 3))],
    "linalg.solve": [call(T(3, 3), T(3, 2)), call(T(3, 3), T(3)), call(T(2, 3, 3), T(3, 2)), call(T(3, 3), T(2, 3), left=False)],
    "linalg.solve_ex": [call(T(3, 3), T(3, 2))],
    "linalg.solve_triangular": [call(T(3, 3, low=0.5), T(3, 2), upper=True), call(T(3, 3, low=0.5), T(2, 3), upper=False, left=False, unitriangular=True)],
    "linalg.lstsq": [call(T(4, 2), T(4, 3)), call(T(4, 2), T(4, 3), driver="gelsd")],
    "linalg.tensorinv": [call(T(2, 3, 6))],
    "linalg.tensorsolve": [call(T(2, 3, 6), T(2, 3))],
    "linalg.householder_product": [call(T(4, 3), T(3)), call(T(2, 4, 2), T(2, 1))],
    "linalg.cond": [call(T(3, 3)), call(T(3, 3), 1), call(T(3, 3), "fro")],
    "linalg.matrix_rank": [call(T(3, 4))],
    "linalg.multi_dot": [call([T(2, 3), T(3, 4), T(4, 2)]), call([T(3), T(3, 4), T(4)])],
    "linalg.vecdot": [call(T(3, 4), T(3, 4)), call(T(3, 4), T(4))],
    "linalg.cross": [call(T(2, 3), T(2, 3)), call(T(3, 1), T(3, 4), dim=0)],
    "linalg.diagonal": [call(T(3, 4)), call(T(2, 3, 3), offset=1)],
    "linalg.matmul": [call(T(3, 4), T(4, 2))],
    "linalg.vander": [call(T(3)), call(T(2, 3), N=4)],
    "linalg.vector_norm": [call(T(3, 4)), call(T(3, 4), 3, 1), call(T(5, low=0.5), 0.5), call(T(3, 4, low=0.1, distinct=True), float("inf"), 0, True)],
    "linalg.matrix_norm": [call(T(3, 4)), call(T(3, 3), "nuc"), call(T(2, 3, 4, distinct=True), 1), call(T(3, 4), 2, keepdim=True)],
    "linalg.norm": [call(T(3, 4)), call(T(3, 4), "fro"), call(T(5), 1)],
    # top level
    **dict.fromkeys(("det", "slogdet", "inverse"), [call(T(3, 3))]),
    "logdet": [call(T(3, 3), _grad=False)],
    "matrix_exp": [call(T(2, 2))],
    "matrix_power": [call(T(2, 2), 2)],
    "pinverse": [call(T(3, 2))],
    "qr": [call(T(3, 2))],
    "lu_unpack": [],
    "triangular_solve": [call(T(3, 2), T(3, 3, low=0.5))],
    "orgqr": [call(T(3, 2), T(2))],
    "ormqr": [call(T(3, 2), T(2), T(3, 3)), call(T(3, 2), T(2), T(3, 3), False, True)],
    "cov": [call(T(3, 5)), call(T(5)), call(T(3, 5), correction=0)],
    "corrcoef": [call(T(3, 5)), call(T(5))],
    "cdist": [call(T(3, 4), T(5, 4)), call(T(2, 3, 4), T(2, 5, 4), 3.0)],
    "histogram": [call(T(20), 5, range=(-2.0, 2.0))],
    "histogramdd": [call(T(20, 2), [3, 4], range=(-2.0, 2.0, -3.0, 3.0))],
    "stft": [call(T(20), 8, return_complex=True), call(T(2, 20), 8, 4, center=False, return_complex=True)],
    "sinc": [call(T(3, 4, low=0.2)), call(T(3, 4), _grad=False)],
    "logit": [call(T(3, 4, low=0.1, high=0.9)), call(T(5, low=-0.5, high=1.5), 0.2, _grad=False)],
    # fft
    **{f"fft.{n}": [call(T(6)), call(T(3, 5), 4, 0), call(T(2, 3), norm="ortho")] for n in ("fft", "ifft", "rfft", "ihfft", "irfft", "hfft")},
    **{f"fft.{n}": [call(T(3, 4)), call(T(2, 3, 4), (2, 5), (0, 2)), call(T(2, 3), norm="forward")]
       for n in ("fft2", "ifft2", "fftn", "ifftn", "rfft2", "rfftn", "irfft2", "irfftn", "hfft2", "hfftn", "ihfft2", "ihfftn")},
    **{f"fft.{n}": [call(T(5)), call(T(3, 4), 1)] for n in ("fftshift", "ifftshift")},
    # special
    **dict.fromkeys(("i0", "special.i0e", "special.i1", "special.i1e", "special.bessel_j0", "special.bessel_j1", "special.bessel_y0",
                     "special.bessel_y1", "special.modified_bessel_i0", "special.modified_bessel_i1", "special.modified_bessel_k0",
                     "special.modified_bessel_k1", "special.scaled_modified_bessel_k0", "special.scaled_modified_bessel_k1",
                     "special.erfcx", "special.log_ndtr"), _ONE),
    **dict.fromkeys(("special.spherical_bessel_j0", "special.airy_ai"), [call(T(3, 4), _grad=False)]),
    "special.ndtri": [call(T(3, 4, low=0.1, high=0.9))],
    "special.entr": [call(T(3, 4, low=0.2)), call(T(5), _grad=False)],
    "special.xlog1py": [call(T(3, 4), T(4, low=-0.5)), call(T(3), 2.0)],
    "special.zeta": [call(T(3, 4, low=1.5, high=4), T(4, low=0.5, high=3), _grad=False)],
    **dict.fromkeys(("igamma", "igammac"), [call(T(3, 4, low=0.5, high=4, kind="same"), T(4, low=0.5, high=4))]),
    "mvlgamma": [call(T(3, 4, low=2, high=5), 3)],
    "special.polygamma_values": [call(T(3, 4, low=0.5, high=4), 2)],
    **{name: _ORDER for name in OPS if name.startswith("special.") and "_polynomial_" in name and not name.endswith("_values")},
    # masked
    **{f"masked.{n}": [*_MASKED, call(T(2, 3, 4), (0, 2))] for n in ("sum", "mean", "var", "std", "prod")},
    **{f"masked.{n}": [call(T(3, 4, distinct=True), 1), call(T(3, 4, distinct=True), 0, mask=T(3, 4, kind="mask"), _grad=False)]
       for n in ("amax", "amin", "argmax", "argmin")},
    "masked.median": [call(T(3, 5, distinct=True), 1)],
    **{f"masked.{n}": _MASKED for n in ("cumsum", "cumprod", "softmax", "log_softmax", "softmin", "logsumexp")},
    "masked.norm": [call(T(3, 4), 2.0, 1)],
    "masked.normalize": [call(T(3, 4), 2.0, 1)],
}  # fmt: skip

#: Records without sample calls, and why.
SKIPPED = {
    **dict.fromkeys(
        "linalg.cholesky linalg.cholesky_ex linalg.eigh linalg.eigvalsh linalg.ldl_factor linalg.ldl_factor_ex "
        "linalg.ldl_solve cholesky cholesky_inverse cholesky_solve".split(),
        "need symmetric or positive definite matrices: tested by name",
    ),
    **dict.fromkeys(
        "linalg.svd linalg.eig linalg.eigvals svd geqrf".split(),
        "determined up to phases or order: tested by name",
    ),
    "polar_values": "part of another op",
    **dict.fromkeys("linalg.lu_solve lu lu_solve".split(), "need factors: tested by name"),
    **dict.fromkeys(
        "svd_lowrank pca_lowrank lobpcg cauchy_fill geometric_fill log_normal_fill".split(),
        "random: tested by name",
    ),
    **dict.fromkeys(
        "istft masked.logaddexp chain_matmul polygamma".split(), "other arguments: tested by name"
    ),
}

SAMPLES = Samples({name: calls for name, calls in CALLS.items() if calls}, functions=OPS, skipped=SKIPPED)
