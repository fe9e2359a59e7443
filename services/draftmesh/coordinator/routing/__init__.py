"""Which member of a pool serves a session: filters, then weighted scorers, then one picker.

Policy is what operators tune, so it lives here in small pure functions; what must never be off (admission, books,
failover) lives elsewhere.
"""
