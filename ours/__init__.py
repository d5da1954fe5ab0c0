"""The paper's method: a generator with fusion residual blocks, meta-trained to adapt to a character."""
