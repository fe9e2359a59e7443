"""The ``draftmesh`` command."""
