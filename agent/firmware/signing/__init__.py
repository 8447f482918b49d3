"""
The maintainers' side: who may sign which releases, and publishing what they have signed.

Blocking and heavy (tuf, cryptography): for the command line, never for the agent at rest.
"""
