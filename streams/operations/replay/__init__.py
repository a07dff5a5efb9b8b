"""Dead letters that are to count after all: which may, how they are mended, and how each is sent once."""
