"""Engines that run in a Python stage behind the contract of the `whisper` model.

TensorRT-LLM has a backend of its own and needs nothing from here.
"""
