"""A few updates of a detector, by plain torch."""

import torch


def term_by_step(detector, loss, batch, term, *, steps, lr):
    """What a term of the main branch loses on one batch, by step of Adam."""
    images = batch.images.float() / 255
    optimizer = torch.optim.Adam(detector.parameters(), lr)
    lost = []
    for _ in range(steps):
        output = loss(detector(images), batch.targets)
        optimizer.zero_grad()
        output.total.backward()
        optimizer.step()
        lost.append(getattr(output.main, term).item())
    return lost
