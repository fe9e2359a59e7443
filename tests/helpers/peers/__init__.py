"""Fakes of ``core.protocols``: drafters and verifiers that live in the test's event loop and obey its clock."""
