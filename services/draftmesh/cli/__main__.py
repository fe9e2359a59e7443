"""``python -m draftmesh.cli``: the same as ``draftmesh``."""

from draftmesh.cli.main import main

main()
