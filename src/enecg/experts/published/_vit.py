"""The vision transformer of MAE's descendants, by the names under which ST-MEM and MERL publish it."""

from torch import Tensor, nn

from enecg.experts._layers import attend


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int, dim_head: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * dim_head
        self.to_qkv = nn.Linear(width, 3 * inner)
        self.to_out = nn.Sequential(nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.to_qkv(x).chunk(3, -1)
        found: Tensor = self.to_out(attend(query, key, value, self.heads))
        return found


class _FeedForward(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        # The third place is the dropout's, which has no weights.
        self.net = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Identity(), nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)
        return found


class _Normed(nn.Module):
    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + self.fn(self.norm(x))
        return found


class Block(nn.Module):
    """Attention of all tokens to all, then a feed-forward layer, each after a norm: [..., token, width], same shape.

    The inner width of the attention, heads * dim_head, need not be the width;  mlp_dim : of the feed-forward layer.
    """

    def __init__(self, width: int, heads: int, dim_head: int, mlp_dim: int) -> None:
        super().__init__()
        self.attn = _Normed(width, _Attention(width, heads, dim_head))
        self.ff = _Normed(width, _FeedForward(width, mlp_dim))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.ff(self.attn(x))
        return found


ATTENTION = r"block\d+\.attn\.fn\.(to_qkv|to_out\.0)"
"""The attention's linear layers in a network whose blocks are `block0`, `block1`, ..."""
