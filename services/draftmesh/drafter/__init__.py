"""The drafter daemon: proposes text ahead of what a target has settled, with a model or without one."""
