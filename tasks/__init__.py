"""The data: one module per stage, pure functions on polars frames first, the Prefect task at the foot."""

import logging

# Prefect's root logger is WARNING; without a level of their own our INFO lines would never reach its UI.
logging.getLogger("tasks").setLevel(logging.INFO)
logging.getLogger("models").setLevel(logging.INFO)
