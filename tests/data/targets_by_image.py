"""What batches have of each image, whatever their order is."""


def by_image(loader, field):
    """A field of the targets, such as the masks, by the image's id."""
    return {
        info.image_id: values
        for batch in loader
        for info, values in zip(batch.infos, getattr(batch.targets, field), strict=True)
    }
