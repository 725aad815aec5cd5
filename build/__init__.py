"""Recipes: weights, engines, images. Outputs go to `build/output`.

This file has to be here: PyPI's package `build`, which TensorRT-LLM requires, is in NVIDIA's image,
and hides a folder of the same name that is no package.
"""
