"""Parts that studies share: papers' recipes, columns and networks."""
