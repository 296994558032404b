"""Speed: the kernels beside their NumPy definitions and PyTorch, which is imported here only, and only if installed."""
