"""Which ops autocast runs in the lower precision, which in float32, and which in the widest dtype of their operands.

The lists are PyTorch's (docs of ``torch.amp``), by the names of our records. They differ between the CPU, where only
what gains from 16 bits is cast and bfloat16 has float32's range, and accelerators, whose lists suit float16 too.
"""

from __future__ import annotations

__all__ = ["COMPOSITES", "policy"]

#: Ops written in other ops, that are cast as a whole: their sum belongs to the product.
COMPOSITES = frozenset({"addmm", "addbmm", "baddbmm", "addmv", "addr"})

_PRODUCTS = """
    matmul linear convolution scaled_dot_product_attention attention multi_head_attention addmm addbmm baddbmm
    prelu_values convolution_backward_input
"""
_LOWER = {
    "cpu": frozenset(_PRODUCTS.split()),
    "": frozenset(
        f"""{_PRODUCTS} addmv addr lstm lstm_cell gru gru_cell rnn rnn_tanh rnn_relu rnn_tanh_cell
        rnn_relu_cell""".split()
    ),
}
_LOSSES = """
    no_probability bernoulli_loss nll_loss cross_entropy absolute_error smooth_error squared_error logit_error
    divergence linear_cross_entropy
"""
_FULL = {
    "cpu": frozenset(
        f"""{_LOSSES} huber_error prod polar quantile nanquantile stft cdist trace view_as_complex cholesky
        cholesky_inverse cholesky_solve inverse lu_solve ormqr pinverse max_pool3d avg_pool3d ctc_loss
        grid_sampler""".split()
    ),
    "": frozenset(
        f"""{_LOSSES} acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow softplus
        layer_norm group_norm rms_norm norm2 cosine_similarity softmax log_softmax cumsum cumprod dist pdist cdist
        renorm logsumexp sum prod ctc_loss""".split()
    ),
}
_WIDEST = {
    "cpu": frozenset({"stack", "cat", "index_copy"}),
    "": frozenset(
        """addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put scatter_sum tensordot stack cat
        index_copy""".split()
    ),
}


def policy(op: str, device_type: str) -> str:
    """How an op is cast on a type of device: ``"lower"``, ``"full"``, ``"widest"`` or ``""`` (as it is)."""
    kind = "cpu" if device_type == "cpu" else ""
    if op in _LOWER[kind]:
        return "lower"
    if op in _FULL[kind]:
        return "full"
    return "widest" if op in _WIDEST[kind] else ""
