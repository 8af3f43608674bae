"""HTTP dialects: a view parses, calls one service function, and answers. No rule of the product is here."""
