"""What runs, in which order and how wide; no data handling."""

import logging

logging.getLogger("flows").setLevel(logging.INFO)
