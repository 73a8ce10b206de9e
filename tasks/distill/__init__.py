"""Distillation of the small models: labels, lessons, training, figures, cards (paper 1.2, 1.3, 1.6)."""
