"""The systems as a PyTorch user writes them: what refmer's speed is compared with."""
