"""Reshapes that layers share."""


def rows(x):
    """All axes but the last in one: (..., C) -> (N, C)."""
    return x.reshape(-1, x.shape[-1])


def split_heads(x, heads):
    """(B, T, H D) -> (B, H, T, D)."""
    B, T, C = x.shape
    if C % heads:
        raise ValueError(f"a width of {C} does not divide into {heads} heads")
    return x.reshape(B, T, heads, C // heads).swapaxes(1, 2)


def merge_heads(x):
    """(B, H, T, D) -> (B, T, H D)."""
    B, H, T, D = x.shape
    return x.swapaxes(1, 2).reshape(B, T, H * D)
