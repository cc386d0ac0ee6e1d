"""The tasks of the belt: each a store call or one long computation. Flows call these and nothing else."""
