"""The rule core: rules, packs, verdicts, and judging a deployment by them."""
