"""draftmesh beside what a user would pick instead: transformers' plain and assisted generation."""
