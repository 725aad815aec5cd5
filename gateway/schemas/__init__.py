"""The contract for machines: JSON Schemas of all messages, AsyncAPI and OpenAPI, made of the code.

Nothing is written by hand that a model already says: `messages` and `metadata` derive the schemas,
`asyncapi` and `openapi` describe what uses them, `routes` publishes all of it below `/schema`.
"""
