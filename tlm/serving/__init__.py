"""Finished models for use: exported folders with a model card, predictions for files and pipes, ONNX, the Hub."""
