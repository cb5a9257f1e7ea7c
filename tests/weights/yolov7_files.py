"""A YOLOv7 file, made and computed without our models.

`Published` counts the layers as the published model file does, those without tensors too; the first
forward pass makes up the tensors under their published names, every pass computes with them.
"""

import torch
from torch.nn import functional as F

ANCHORS = torch.tensor(
    [[12, 16, 19, 36, 40, 28], [36, 75, 76, 55, 72, 146], [142, 110, 192, 243, 459, 401]]
).view(3, 3, 2)


class Published:
    """YOLOv7, its channels times `width`; `implicit` as trained, without it as deployed."""

    def __init__(self, classes, width, implicit):
        self.classes, self.width, self.implicit = classes, width, implicit
        self.state = {}

    def scaled(self, channels):
        return int(channels * self.width)

    def skip(self):
        self.number += 1

    def tensor(self, name, *shape, around=0.0, spread=1.0):
        name = f"model.{self.number}.{name}"
        if name not in self.state:
            self.state[name] = around + spread * (torch.rand(shape) - 0.5)
        return self.state[name]

    def conv_bn(self, x, out, kernel, stride, conv, bn):
        fan = x.shape[1] * kernel**2
        weight = self.tensor(f"{conv}.weight", out, x.shape[1], kernel, kernel, spread=4 / fan**0.5)
        y = F.conv2d(x, weight, None, stride, kernel // 2)
        mean, bias = self.tensor(f"{bn}.running_mean", out), self.tensor(f"{bn}.bias", out)
        var = self.tensor(f"{bn}.running_var", out, around=1.0)
        scale = self.tensor(f"{bn}.weight", out, around=1.0)
        self.state[f"model.{self.number}.{bn}.num_batches_tracked"] = torch.tensor(7)
        return F.batch_norm(y, mean, var, scale, bias, eps=1e-3)

    def conv(self, x, out, kernel=1, stride=1, inside=""):
        """A layer of its own, or one inside another."""
        out = self.scaled(out)
        y = F.silu(self.conv_bn(x, out, kernel, stride, f"{inside}conv", f"{inside}bn"))
        self.number += not inside
        return y

    def elan(self, x, out, width, conv_width, kept):
        first, chain = self.conv(x, width), [self.conv(x, width)]
        for _ in range(4):
            chain.append(self.conv(chain[-1], conv_width, 3))
        self.skip()  # Concat
        parts = [*(chain[i] for i in kept), chain[0], first]
        return self.conv(torch.cat(parts, 1), out)

    def down(self, x, half):
        self.skip()  # MP
        pooled = self.conv(F.max_pool2d(x, 2), half)
        strided = self.conv(self.conv(x, half), half, 3, 2)
        self.skip()
        return [strided, pooled]

    def sppcspc(self, x, out):
        y = self.conv(x, out, inside="cv1.")
        y = self.conv(self.conv(y, out, 3, inside="cv3."), out, inside="cv4.")
        y = torch.cat([y, *(F.max_pool2d(y, k, 1, k // 2) for k in (5, 9, 13))], 1)
        y = self.conv(self.conv(y, out, inside="cv5."), out, 3, inside="cv6.")
        y = self.conv(torch.cat((y, self.conv(x, out, inside="cv2.")), 1), out, inside="cv7.")
        self.skip()
        return y

    def up(self, x, lateral, out):
        y = F.interpolate(self.conv(x, out), scale_factor=2)
        self.skip()  # Upsample
        both = torch.cat((self.conv(lateral, out), y), 1)
        self.skip()
        return self.elan(both, out, out, out // 2, (4, 3, 2, 1))

    def rep(self, x, out):
        out = self.scaled(out)
        y = self.conv_bn(x, out, 3, 1, "rbr_dense.0", "rbr_dense.1")
        y = F.silu(y + self.conv_bn(x, out, 1, 1, "rbr_1x1.0", "rbr_1x1.1"))
        self.number += 1
        return y

    def detect(self, maps):
        """Boxes (B, A, 4) xyxy and scores (B, A, C), anchors by level, anchor, row, column."""
        outputs = 3 * (5 + self.classes)
        grids = ANCHORS.view(3, 1, 3, 1, 1, 2).float()
        strides = torch.tensor([8.0, 16.0, 32.0])
        self.state[f"model.{self.number}.anchors"] = ANCHORS / strides.view(3, 1, 1)
        self.state[f"model.{self.number}.anchor_grid"] = grids
        boxes, scores = [], []
        for i, x in enumerate(maps):
            if self.implicit:
                x = x + self.tensor(f"ia.{i}.implicit", 1, x.shape[1], 1, 1)
            weight = self.tensor(f"m.{i}.weight", outputs, x.shape[1], 1, 1, spread=0.3)
            x = F.conv2d(x, weight, self.tensor(f"m.{i}.bias", outputs))
            if self.implicit:
                x = x * self.tensor(f"im.{i}.implicit", 1, outputs, 1, 1, around=1.0)
            y = x.unflatten(1, (3, -1)).permute(0, 1, 3, 4, 2).sigmoid()
            rows, columns = torch.meshgrid(*map(torch.arange, x.shape[2:]), indexing="ij")
            centre = (2 * y[..., :2] - 0.5 + torch.stack((columns, rows), -1)) * strides[i]
            half = (2 * y[..., 2:4]) ** 2 * grids[i] / 2
            boxes.append(torch.cat((centre - half, centre + half), -1).flatten(1, 3))
            scores.append((y[..., 4:5] * y[..., 5:]).flatten(1, 3))
        return torch.cat(boxes, 1), torch.cat(scores, 1)

    def __call__(self, image):
        self.number = 0
        x = self.conv(self.conv(self.conv(image, 32, 3), 64, 3, 2), 64, 3)
        x = self.elan(self.conv(x, 128, 3, 2), 256, 64, 64, (4, 2))
        pyramid = []
        for half, out, width in ((128, 512, 128), (256, 1024, 256), (512, 1024, 256)):
            x = self.elan(torch.cat(self.down(x, half), 1), out, width, width, (4, 2))
            pyramid.append(x)
        p3, p4, p5 = pyramid
        s5 = self.sppcspc(p5, 512)
        n4 = self.up(s5, p4, 256)
        n3 = self.up(n4, p3, 128)
        n4 = self.elan(torch.cat((*self.down(n3, 128), n4), 1), 256, 256, 128, (4, 3, 2, 1))
        n5 = self.elan(torch.cat((*self.down(n4, 256), s5), 1), 512, 512, 256, (4, 3, 2, 1))
        maps = [self.rep(x, c) for x, c in zip((n3, n4, n5), (256, 512, 1024), strict=True)]
        return self.detect(maps)
