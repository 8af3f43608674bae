"""How large the pieces of a training loss are: what computes them and what foretells their memory agree.

All are counts of logits, float32 while they are computed.
"""

WHOLE = 1 << 18
"""Up to so many logits of a batch are computed at once: below 1 MB neither memory nor time is gained."""

TILE = 1 << 21
"""The logits of one block of the vocabulary, for up to `TOKENS` tokens."""

TOKENS = 1024

ROWS = 4 * TILE
"""The logits of one chunk of tokens where the output layer learns, but at least of `FEWEST` tokens."""

FEWEST = 128
