"""Readers of files: each returns checked arrays, or says what is wrong with them."""
