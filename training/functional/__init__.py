"""Layers, losses, metrics and update rules as functions of tensors."""
