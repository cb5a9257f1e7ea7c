"""What turns models and runs into tables and images."""
