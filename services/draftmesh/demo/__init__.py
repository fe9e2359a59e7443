"""Small trained models, so that the demo, the tests and the benchmarks need no model hub.

Three checkpoints of three tokenizer families ship in `assets/`; `README.md` beside this file says
how they were made and what they measure. `python -m draftmesh.demo.train --help` makes them anew.
"""
