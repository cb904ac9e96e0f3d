"""Calls of scikit-learn and SciPy on tensors, beside the same calls on NumPy arrays; prints one line of JSON per call.

A process of its own, because SciPy reads ``SCIPY_ARRAY_API`` at import: ``python consumers.py scipy|sklearn``.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

os.environ["SCIPY_ARRAY_API"] = "1"

import numpy as np

import flambeau as fb

Call = tuple[str, Callable[..., Any], tuple[Any, ...]]
_rng = np.random.default_rng(0)
A, B = _rng.random(50), _rng.random(50)
X = _rng.normal(size=(60, 6)) + np.repeat([[0.0], [1.5]], 30, 0)
Y = np.repeat([0, 1], 30)
GUESS = (Y + (_rng.random(60) < 0.2)) % 2


def scipy_calls() -> Iterator[Call]:
    """Functions of SciPy that take the standard's arrays."""
    from scipy import cluster, differentiate, fft, integrate, ndimage, optimize, signal, special, stats

    for name in "logsumexp softmax log_softmax expit erf gammaln entr ndtr log_ndtr logit i0".split():
        yield f"special.{name}", getattr(special, name), (A,)
    for name in "xlogy gammainc betaln".split():
        yield f"special.{name}", getattr(special, name), (A, B)
    for name in "zscore gmean hmean skew kurtosis variation entropy sem differential_entropy".split():
        yield f"stats.{name}", getattr(stats, name), (A,)
    yield "stats.pearsonr", lambda a, b: tuple(stats.pearsonr(a, b)), (A, B)
    yield "stats.ttest_ind", lambda a, b: tuple(stats.ttest_ind(a, b)), (A, B)
    yield "stats.directional_stats", lambda x: stats.directional_stats(x).mean_direction, (X,)
    for name in "fft ifft rfft irfft hfft fftn rfftn fftshift dct".split():
        yield f"fft.{name}", getattr(fft, name), (A,)
    for name in "convolve fftconvolve".split():
        yield f"signal.{name}", getattr(signal, name), (A, B[:5])
    yield "signal.detrend", signal.detrend, (A,)
    yield "signal.hilbert", signal.hilbert, (A,)
    yield "signal.savgol_filter", signal.savgol_filter, (A, 5, 2)
    yield "signal.resample", signal.resample, (A, 25)
    yield "cluster.vq.whiten", cluster.vq.whiten, (X,)
    yield "cluster.vq.vq", cluster.vq.vq, (X, X[:3])
    yield "integrate.trapezoid", integrate.trapezoid, (A,)
    yield "integrate.cumulative_trapezoid", integrate.cumulative_trapezoid, (A,)
    yield "ndimage.gaussian_filter", ndimage.gaussian_filter, (X, 1.0)
    yield "optimize.rosen", optimize.rosen, (A,)
    yield "differentiate.derivative", lambda x: differentiate.derivative(lambda t: t**3, x).df, (A,)


def sklearn_calls() -> Iterator[Call]:
    """Estimators, metrics and kernels of scikit-learn that take the standard's arrays."""
    from sklearn import (
        decomposition,
        discriminant_analysis,
        linear_model,
        metrics,
        mixture,
        naive_bayes,
        preprocessing,
    )
    from sklearn.metrics import pairwise

    def fitted(make: Callable[[], Any], method: str) -> Callable[[Any, Any], Any]:
        def call(x: Any, y: Any) -> Any:
            model = make().fit(x, y)
            return getattr(model, method)(x)

        return call

    linear = linear_model
    for name, make, method in (
        ("PCA", lambda: decomposition.PCA(3, svd_solver="full"), "inverse_transform_of"),
        ("LinearDiscriminantAnalysis", discriminant_analysis.LinearDiscriminantAnalysis, "decision_function"),
        ("Ridge", lambda: linear.Ridge(solver="svd"), "predict"),
        ("RidgeCV", linear.RidgeCV, "predict"),
        ("RidgeClassifier", lambda: linear.RidgeClassifier(solver="svd"), "decision_function"),
        ("GaussianNB", naive_bayes.GaussianNB, "predict_proba"),
        (
            "GaussianMixture",
            lambda: mixture.GaussianMixture(2, random_state=0, init_params="random"),
            "predict_proba",
        ),
        ("StandardScaler", preprocessing.StandardScaler, "transform"),
        ("MinMaxScaler", preprocessing.MinMaxScaler, "transform"),
        ("MaxAbsScaler", preprocessing.MaxAbsScaler, "transform"),
        ("Normalizer", preprocessing.Normalizer, "transform"),
        ("PolynomialFeatures", preprocessing.PolynomialFeatures, "transform"),
    ):
        if method == "inverse_transform_of":
            yield name, lambda x, y, make=make: (m := make().fit(x)).inverse_transform(m.transform(x)), (X, Y)
        else:
            yield name, fitted(make, method), (X, Y)
    for name in "mean_squared_error mean_absolute_error r2_score explained_variance_score max_error".split():
        yield name, getattr(metrics, name), (A, B)
    for name in "accuracy_score f1_score precision_score recall_score confusion_matrix roc_auc_score".split():
        yield name, getattr(metrics, name), (Y, GUESS)
    for name in "cosine_similarity euclidean_distances rbf_kernel linear_kernel polynomial_kernel".split():
        yield name, getattr(pairwise, name), (X[:7], X[7:12])


def gap(got: Any, want: Any) -> float:
    """The largest difference between two results, or parts of them."""
    pairs = zip(got, want, strict=True) if isinstance(got, tuple) else [(got, want)]
    return max(float(np.abs(np.asarray(g) - np.asarray(w)).max()) for g, w in pairs)


def kinds(result: Any) -> list[str]:
    """The types of a result's parts."""
    return [type(r).__name__ for r in (result if isinstance(result, tuple) else (result,))]


def main(which: str) -> None:
    """Run the calls of one library and print what came out."""
    warnings.simplefilter("ignore")
    if which == "sklearn":
        import sklearn

        sklearn.set_config(array_api_dispatch=True)
    for name, fn, args in scipy_calls() if which == "scipy" else sklearn_calls():
        tensors = [fb.from_numpy(a) if isinstance(a, np.ndarray) else a for a in args]
        got, want = fn(*tensors), fn(*args)
        print(json.dumps({"name": name, "kinds": kinds(got), "expected": kinds(want), "gap": gap(got, want)}))


if __name__ == "__main__":
    main(sys.argv[1])
