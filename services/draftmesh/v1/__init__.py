"""Generated from proto/draftmesh/v1 by `make proto`; the import path equals the proto path."""
