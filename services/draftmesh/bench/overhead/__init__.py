"""What a verification round costs beside the forwards."""
