"""``auto``: what could be chosen for a session, what is known of it, and the choice."""
