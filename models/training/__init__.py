"""Training of the learned parts: labels become examples, those an adapter, and that is measured (paper 1.2-1.6).

Like the rest of `models` it knows nothing of Prefect, polars or storage. It needs the packages of the extra `train`.
"""
