"""Pure mathematics of decoding: logits processing, keyed noise, judging drafts, stopping.

``noise_key``, ``stopping``, ``history`` and ``exact`` need no torch, so the coordinator may import them; ``noise``,
``logits``, ``sampler`` and ``judge`` work on tensors. Nothing here knows a tokenizer: a vocabulary is a
:class:`draftmesh.core.protocols.TokenTable`.
"""
