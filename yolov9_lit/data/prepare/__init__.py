"""Done before a training: other formats, download, check, preview, the embedded data set."""
