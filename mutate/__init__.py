"""How strong the rules are: breaks clean stacks one guarded property at a time and asks whether a rule notices."""
