"""The loop of one session: draft, verify, commit, tell; and the policies it asks."""
