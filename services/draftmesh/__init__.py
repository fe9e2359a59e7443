"""draftmesh: lossless speculative decoding over a network, across tokenizers."""
