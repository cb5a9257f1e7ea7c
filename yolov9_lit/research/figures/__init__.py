"""The paper's figures, and diagrams of the models."""
