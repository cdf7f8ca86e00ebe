"""Spectral norms of what two consecutive stages retain of each other, with a backward of few products: the arithmetic of `lcr`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d


def retention(f: Tensor, g: Tensor) -> Tensor:
    """RM of two stages: maps (N, C, H, W) and (N, D, h, w) -> (N, C, D); features (N, C) and (N, D) -> (1, C, D).

    Of a map before features the mean over its pixels counts.
    """
    f, g = as_maps(f, g)
    return adaptive_avg_pool2d(f, g.shape[-2:]).flatten(2) @ g.flatten(2).transpose(1, 2) / (g.shape[-2] * g.shape[-1])


def as_maps(f: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Two stages as maps: of features the batch takes the place of the pixels, (N, C) -> (1, C, N, 1)."""
    if g.dim() == 4:
        return f, g
    if f.dim() == 4:
        f = f.mean((2, 3))
    return f.T[None, :, :, None], g.T[None, :, :, None]


def largest_singular(rm: Tensor, n_iter: int) -> Tensor:
    """Largest singular value of each matrix by power iteration, (N, C, D) -> (N,): never above it, nearer with every iteration."""
    v = torch.full_like(rm[..., :1], rm.shape[1] ** -0.5)
    for _ in range(n_iter):
        v = rm @ (rm.transpose(1, 2) @ v)  # never RM RM^T itself: two products with a vector cost far less
        norm = v.square().sum((1, 2)).clamp(min=1e-24).sqrt()  # not norm(): at 0 its gradient is no number
        v = v / norm.view(-1, 1, 1)
    return norm.sqrt()


def retained(f: Tensor, g: Tensor, n_iter: int) -> Tensor:
    """`largest_singular(retention(f, g), n_iter)`, (N,), and its gradient, at a fraction of the cost; see `_Retained`."""
    maps = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in as_maps(f, g))
    with torch.autocast(f.device.type, enabled=False):  # squares of squares: half precision would not hold them
        return _Retained.apply(*maps, n_iter)


class _Retained(torch.autograd.Function):
    """The power iteration of RM = F G^T / P from f (N, C, H, W), pooled to F (N, C, P), and g (N, D, h, w) = G (N, D, P).

    With v_0 = ones / sqrt(C), p_i = v_(i-1) RM, q_i = p_i RM^T, v_i = q_i / |q_i| and sigma = sqrt(|q_n|), the gradient of RM is
    sum_i q'_i p_i^T + v_(i-1) p'_i^T (a prime: the gradient of what bears it): 2n outer products. So neither it nor anything of
    its size is ever made: F' = [q' v] ([p p'] G) / P, and only 2n maps go back through the pooling, not C.

    Vectors are rows: a batch of row times matrix is ten times faster on a CPU than one of matrix times column.
    """

    @staticmethod
    def forward(ctx, f: Tensor, g: Tensor, n_iter: int) -> Tensor:
        left, right = pooled(f, g.shape[-2:]).flatten(2), g.flatten(2)
        rm = _products(left, right)
        v = left.new_full((len(left), 1, left.shape[1]), left.shape[1] ** -0.5)
        vs, ps, norms = [], [], []
        for _ in range(n_iter):
            vs.append(v)
            p = _times(v, left, right, rm)
            q = _times(p, right, left, None if rm is None else rm.transpose(1, 2))
            ps.append(p)
            norms.append(q.square().sum(2, keepdim=True).clamp(min=1e-24).sqrt())
            v = q / norms[-1]
        ctx.save_for_backward(left, right, v, *vs, *ps, *norms, *([] if rm is None else [rm]))
        ctx.n_iter, ctx.shapes = n_iter, (f.shape, g.shape)
        return norms[-1].sqrt().flatten()

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        n, (whole, small) = ctx.n_iter, ctx.shapes
        left, right, v, *rest = ctx.saved_tensors
        vs, ps, norms = rest[:n], rest[n : 2 * n], rest[2 * n : 3 * n]
        rm = rest[3 * n] if len(rest) > 3 * n else None
        dq = v * (grad.view(-1, 1, 1) / (2 * norms[-1].sqrt()))
        dqs: list[Tensor] = []
        dps: list[Tensor] = []
        for i in reversed(range(n)):
            dp = _times(dq, left, right, rm)
            dqs.insert(0, dq)
            dps.insert(0, dp)
            if i:
                dv = _times(dp, right, left, None if rm is None else rm.transpose(1, 2))
                dq = (dv - vs[i] * (vs[i] * dv).sum(2, keepdim=True)) / norms[i - 1]
        rows, columns = torch.cat([*dqs, *vs], 1), torch.cat([*ps, *dps], 1)
        pixels = right.shape[2]
        back = _unpooled((columns @ right).div_(pixels).view(*columns.shape[:2], *small[-2:]), whole[-2:])
        df = (rows.transpose(1, 2) @ back.flatten(2)).view(whole)
        return df, (columns.transpose(1, 2) @ (rows @ left).div_(pixels)).view(small), None


def _products(left: Tensor, right: Tensor) -> Tensor | None:
    """RM (N, C, D), or None where a product with it costs more than one with both of its factors."""
    (_, c, pixels), d = left.shape, right.shape[1]
    return None if pixels * (c + d) < c * d else torch.bmm(left, right.transpose(1, 2)).div_(pixels)


def _times(v: Tensor, left: Tensor, right: Tensor, rm: Tensor | None) -> Tensor:
    """v F G^T / P, (N, 1, C) -> (N, 1, D)."""
    return v @ rm if rm is not None else (v @ left).div_(left.shape[2]) @ right.transpose(1, 2)


def _windows(before: int, after: int) -> list[tuple[int, int]]:
    """[start, end) of each place of an adaptive average over `before` places."""
    return [(i * before // after, -(-(i + 1) * before // after)) for i in range(after)]


def pooled(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """adaptive_avg_pool2d(x, size), (N, C, H, W) -> (N, C, h, w), axis by axis: sums of slices, or a product with a matrix."""
    return _along(_along(x, size[1], -1), size[0], -2)


def _along(x: Tensor, after: int, dim: int) -> Tensor:
    before = x.shape[dim]
    if before == after:
        return x
    runs = _runs(before, after)
    if len(runs) > 2:  # many short slices cost more than a few zeros
        matrix = _matrix(before, after, x)
        return x @ matrix.T if dim == -1 else matrix @ x
    out = x.new_empty([after if axis == x.dim() + dim else n for axis, n in enumerate(x.shape)])
    for first, count, start, step, width in runs:
        part = out.narrow(dim, first, count)
        places = [slice(start + a, start + a + (count - 1) * step + 1, step) for a in range(width)]
        slices = [x[..., place] if dim == -1 else x[..., place, :] for place in places]
        torch.add(slices[0], slices[1], out=part) if width > 1 else part.copy_(slices[0])
        for more in slices[2:]:
            part.add_(more)
        part.div_(width)
    return out


def _runs(before: int, after: int) -> list[tuple[int, int, int, int, int]]:
    """(first place, places, start, step, width): the windows as runs of one width whose starts are evenly spaced."""
    runs: list[tuple[int, int, int, int, int]] = []
    for i, (start, end) in enumerate(_windows(before, after)):
        first, count, begin, step, width = runs[-1] if runs else (0, 0, 0, 0, 0)
        if runs and width == end - start and (count == 1 or start == begin + count * step) and start > begin:
            runs[-1] = first, count + 1, begin, start - begin if count == 1 else step, width
        else:
            runs.append((i, 1, start, 1, end - start))
    return runs


def _matrix(before: int, after: int, like: Tensor) -> Tensor:
    """The average as a matrix, (after, before)."""
    matrix = like.new_zeros(after, before)
    for i, (start, end) in enumerate(_windows(before, after)):
        matrix[i, start:end] = 1 / (end - start)
    return matrix


def _unpooled(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """The transpose of `pooled`: (N, K, h, w) -> (N, K, H, W)."""
    steps: tuple[tuple[int, Callable[[Tensor, Tensor], Tensor]], ...] = (
        (-1, lambda y, matrix: y @ matrix),
        (-2, lambda y, matrix: matrix.T @ y),
    )
    for dim, times in steps:
        if x.shape[dim] != size[dim]:
            x = times(x, _matrix(size[dim], x.shape[dim], x))
    return x
