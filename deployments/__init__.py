"""Shipped beside the code: profiles, the bundled sample, the lock."""
