"""The learned parts: grammars, prompts, engines, embedder, genericizer, instantiator, judge.

Nothing here knows Prefect, polars or storage, so that every model can be used and tested alone.
"""
