"""A stand-in iTwin Platform over HTTP: iModels, iTwins, Users and Access Control APIs, sign-in and blob storage.

It shares no code with the product; what each API answers follows the pages at https://developer.bentley.com/.
Start it with ``python -m sandbox --port N``; tests start it with ``sandbox.server.Sandbox.start()``.
"""
