"""The schema of every table, in one place. Offsets and lengths are in Unicode code points unless they say tokens."""

import polars as pl

SPAN = pl.Struct(
    {
        "answer_start": pl.Int64(),
        "answer_end": pl.Int64(),
        "document_start": pl.Int64(),
        "document_end": pl.Int64(),
    }
)

REJECTED = pl.Schema(
    {
        "id": pl.String(),  # query, document, template or pair
        "url": pl.String(),  # input file, where the stage knows it
        "row": pl.Int64(),  # 0-based row in that file
        "kind": pl.String(),  # rejected | failed
        "reason": pl.String(),
        "detail": pl.String(),
        "raw": pl.String(),  # raw completion, where a model was asked
        "attempts": pl.Int64(),
    }
)

QUERIES = pl.Schema(
    {
        "query_id": pl.String(),
        "query": pl.String(),
        "source": pl.String(),
        "url": pl.String(),
        "row": pl.Int64(),
    }
)

DOCUMENTS = pl.Schema(
    {
        "document_id": pl.String(),
        "document_source": pl.String(),
        "document_url": pl.String(),
        "document_row": pl.Int64(),
        "text": pl.String(),
        "token_count": pl.Int64(),
    }
)

TEMPLATES = pl.Schema(
    {
        "query_id": pl.String(),
        "query": pl.String(),
        "source": pl.String(),
        "url": pl.String(),
        "row": pl.Int64(),
        "template": pl.String(),
        "compatible_document_description": pl.String(),
        "complexity": pl.Int64(),  # number of slots
    }
)

BANK = pl.Schema(
    {
        "template_id": pl.String(),  # digest of the template's text
        "template": pl.String(),
        "compatible_document_description": pl.String(),
        "complexity": pl.Int64(),
        "template_source": pl.String(),  # source of the first query
        "sources": pl.List(pl.String()),
        "query_ids": pl.List(pl.String()),
        "query_count": pl.Int64(),
    }
)

MATCHES = pl.Schema(
    {
        "pair_id": pl.String(),  # digest of document url, document id and template; constant through all later stages
        "document_id": pl.String(),
        "document_source": pl.String(),
        "document_url": pl.String(),
        "document_row": pl.Int64(),
        "template_id": pl.String(),
        "template": pl.String(),
        "template_source": pl.String(),
        "chunk": pl.Int64(),  # 0 = global, 1..K = local
        "similarity": pl.Float64(),
    }
)

PAIRS = pl.Schema(
    {
        **MATCHES,
        "instruction": pl.String(),
        "answer": pl.String(),
        "slots": pl.List(pl.String()),
        "excerpts": pl.List(SPAN),
        "excerpt_share": pl.Float64(),
        "prompt_digest": pl.String(),
        "seed": pl.Int64(),
        "attempts": pl.Int64(),
    }
)

VERDICTS = pl.Schema(
    {
        "pair_id": pl.String(),
        "judge_score": pl.Int64(),
        "judge_feedback": pl.String(),
        "prompt_digest": pl.String(),
    }
)

MODELS = pl.Struct(
    {
        "genericizer": pl.String(),
        "embedder": pl.String(),
        "instantiator": pl.String(),
        "passages": pl.String(),
        "judge": pl.String(),
    }
)

RELEASE = pl.Schema(
    {
        "pair_id": pl.String(),
        "document_id": pl.String(),
        "document_source": pl.String(),
        "document_url": pl.String(),
        "document_row": pl.Int64(),
        "template_id": pl.String(),
        "template": pl.String(),
        "template_source": pl.String(),
        "chunk": pl.Int64(),
        "similarity": pl.Float64(),
        "instruction": pl.String(),
        "answer": pl.String(),
        "text": pl.String(),
        "slots": pl.List(pl.String()),
        "excerpts": pl.List(SPAN),
        "excerpt_share": pl.Float64(),
        "judge_score": pl.Int64(),
        "judge_feedback": pl.String(),
        "token_count": pl.Int64(),
        "document_token_count": pl.Int64(),
        "models": MODELS,
        "prompt_digest": pl.String(),
        "seed": pl.Int64(),
    }
)

GENERICIZER_LABELS = pl.Schema(
    {
        "query_id": pl.String(),
        "query": pl.String(),
        "template": pl.String(),  # null: no template can be made of the query
        "compatible_document_description": pl.String(),
        "reason": pl.String(),  # why there is no template
    }
)

PAIR_LABELS = pl.Schema(
    {
        "pair_id": pl.String(),  # digest of document id, document and template
        "document_id": pl.String(),
        "document": pl.String(),  # shown whole
        "template": pl.String(),
        "compatible": pl.Boolean(),
        "instruction": pl.String(),  # null where not compatible
        "answer": pl.String(),  # with excerpt markup; null where not compatible
        "reason": pl.String(),  # why it is not compatible
    }
)

JUDGE_LABELS = pl.Schema(
    {
        "judgement_id": pl.String(),  # digest of the pair's id and the answer
        "document_id": pl.String(),
        "instruction": pl.String(),
        "answer": pl.String(),  # expanded, as the judge sees it
        "score": pl.Int64(),
        "feedback": pl.String(),
    }
)
