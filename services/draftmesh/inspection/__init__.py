"""The doctor of a pair: what two tokenizers share, what each decoding method is worth, and which one to use."""
