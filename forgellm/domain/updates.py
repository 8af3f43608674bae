"""What an optimiser's update takes beside weights, gradients and moments; `training` has the update."""

FUSED_BYTES = 128 * 2**20
"""Of weights that learn: up to so many the update is compiled, which is quicker."""

FUSED_COPIES = {"adamw": 2.9, "adam": 2.9}
"""Of those weights, that a compiled update of clipped gradients takes: old and new ones and their moments lie
side by side. Measured with MLX 0.32.4 on a CPU; the other optimisers take none."""
