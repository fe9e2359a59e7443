"""The coordinator daemon: one shard of sessions between a drafter pool and a verifier pool."""
