"""The five systems and one baseline in PyTorch, as a user of PyTorch writes them, for comparison with refmer's training steps.

A module has `Model(config)`, an nn.Module from refmer's batch (as tensors) to refmer's `out`; `loss(out, batch, config)`, the
total training loss; and `load(model, named)`, which copies refmer's parameters. Each builds its system's default switches, in
any size, and raises ValueError for others.
"""
