"""One session's side of drafting: the drafter's stream, and what is kept of it."""
