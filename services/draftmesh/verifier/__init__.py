"""The verifier daemon: judges drafts with the target model and commits the target's own tokens."""
