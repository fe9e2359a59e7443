"""What computes the rows of a step: any transformers model as it is, or known families with their layers fused."""
