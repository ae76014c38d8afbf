"""The language: scalar expressions recorded from ordinary Python, and everything derived from them."""
