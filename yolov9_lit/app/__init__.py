"""The Hydra side of the commands: configs, and how mistakes are answered."""
