"""A sample of every kind of kernel, to be run under compute-sanitizer."""

from __future__ import annotations

import flambeau as fb

F = fb.nn.functional


def main() -> None:
    """Run the sample once."""
    fb.manual_seed(0)
    for dtype in (fb.float32, fb.bfloat16):
        x = fb.randn(37, 64, device="cuda").to(dtype).requires_grad_()
        w = fb.randn(64, 64, device="cuda").to(dtype).requires_grad_()
        t = fb.randint(0, 64, (37,), device="cuda")
        y = F.layer_norm(F.dropout(F.gelu(x @ w), 0.1), (64,), w[0], w[1])
        F.cross_entropy(y, t).backward()
        (F.embedding(t, w).softmax(1).cumsum(0).sum() + x.sort(1)[0].var(0).sum()).backward()
        q = fb.randn(1, 2, 70, 64, device="cuda").to(dtype).requires_grad_()
        F.scaled_dot_product_attention(q, q, q, is_causal=True).sum().backward()
        image = fb.randn(2, 3, 9, 9, device="cuda").to(dtype).requires_grad_()
        z = F.batch_norm(image, None, None, training=True)
        (F.max_pool2d(z, 2).sum() + F.avg_pool2d(z, 3, padding=1).square().sum()).backward()
        x.detach().scatter_add(1, t.remainder(64).unsqueeze(1), x.detach()[:, :1]).topk(3)
    (fb.arange(700, device="cuda") @ fb.arange(700, device="cuda")).item()
    fb.cuda.synchronize()


if __name__ == "__main__":
    main()
