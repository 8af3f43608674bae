"""Files of rows, one module for each format: each streams, and says where every row begins."""
