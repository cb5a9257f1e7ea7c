"""What turns models and runs into knowledge: the paper's tables, reports, figures."""
