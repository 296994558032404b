"""Speed: refmer beside PyTorch."""
