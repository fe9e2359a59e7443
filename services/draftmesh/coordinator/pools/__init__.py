"""The drafters and verifiers that a shard knows, and seats at them."""
