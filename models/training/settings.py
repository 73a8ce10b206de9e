"""What decides a training run."""

from pydantic import Field

from models.settings import Settings


class TrainSettings(Settings):
    """Supervised fine-tuning of a causal language model by low-rank adapters (LoRA) on its linear layers."""

    rank: int = Field(32, ge=1, description="r of LoRA; size and capacity of the adapter grow with it.")
    alpha: int = Field(64, ge=1, description="LoRA's alpha: the adapter counts alpha / rank.")
    dropout: float = Field(0.0, ge=0, lt=1)
    learning_rate: float = Field(5e-4, gt=0)
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the steps in which the learning rate rises.")
    epochs: float = Field(1.0, gt=0)
    lowest_layer: int = Field(0, ge=0, description="Layers below it stay as they are and cost no backward pass.")
    pack_tokens: int = Field(1024, ge=64, description="Most tokens of a forward pass; a longer example is left out.")
    full_tokens: int = Field(
        512, ge=1, description="A pack of so many tokens begins no further prompt; saves attention."
    )
    packs_per_step: int = Field(2, ge=1, description="Forward passes per step of the optimiser.")
    start_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the adapter that training went on from in the result; what it knew is forgotten less.",
    )
    seed: int = Field(0, ge=0)
    checkpoint_steps: int = Field(20, ge=1, description="Steps after which a killed training can go on.")
