"""Pure mathematics of decoding: logits processing, keyed noise, judging drafts, stopping.

``noise_key``, ``streams``, ``stopping``, ``history``, ``exact``, ``longest_match`` and ``psi`` need no torch, so the
coordinator may import them; the others work on tensors. ``LOSSLESS.md`` says why each method is lossless. Nothing here
knows a tokenizer: a vocabulary is a :class:`draftmesh.core.protocols.TokenTable`.
"""
