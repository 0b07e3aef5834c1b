"""Finished models: exported folders with a model card, predictions for files and pipes, ONNX, the Hub."""
