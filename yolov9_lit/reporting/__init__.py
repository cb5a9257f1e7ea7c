"""How anything is shown: tables, plots, pages, drawings on images."""
