"""Texts that tokenizers like to change; one that gives them all back is taken to keep every byte."""

from __future__ import annotations

PROBES = (
    "Plain words, and Capitals.",
    " leading and trailing ",
    "two  three   spaces\tand\ttabs\t\t",
    "\n\nlines\r\n  indented\n\n\n",
    "naïve café Ångström İstanbul ß ŉ",
    "e\u0301 \u1100\u1161 composed of parts",
    "ﬁ ½ ① ＡＢＣ ｶ ™ compatibility",
    "你好，世界。日本語 한국어 ไทย",
    "👩‍👩‍👧 🇫🇷 🙂",
    "\u00a0no break\u3000wide\u200bzero\u2028line",
    "\x00\x01\x1b\x7f controls",
    "## ▂ Ġ Ċ </w>",
)
"""None spells U+2581 or a byte piece such as ``<0x41>``: that those can be mistaken is known, and worked around."""
