"""What worsens the images of an evaluation: the kinds, by severity, and where objects move to."""
