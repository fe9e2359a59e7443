"""The shared language of draftmesh: values, errors and Protocols. Standard library only."""
