"""The server process of the AWS emulator: MiniStack and moto behind one endpoint, with signatures and IAM checked.

It runs in a virtual environment of its own that has neither ringfence nor its dependencies, since MiniStack pins
botocore. Imports within this package are relative for that reason, and nothing else of ringfence is imported.
"""
