"""How packed rows of many sequences attend to their own paged KV, in any model that uses transformers' interface."""
