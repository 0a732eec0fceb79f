"""What answers for a resource type: checks of inputs, synthetic outputs, invokes."""
