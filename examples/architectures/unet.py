"""U-Net (Ronneberger et al., 2015): an encoder and a decoder with skip connections, for masks of images."""

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn


class DoubleConv(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.GroupNorm(4, out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.GroupNorm(4, out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.block(x)


class UNet(nn.Module):
    def __init__(self, in_channels=3, classes=1, features=(8, 16, 32)):
        super().__init__()
        self.downs = nn.ModuleList()
        self.ups = nn.ModuleList()
        self.pool = nn.MaxPool2d(2, 2)
        for n in features:
            self.downs.append(DoubleConv(in_channels, n))
            in_channels = n
        self.bottleneck = DoubleConv(features[-1], features[-1] * 2)
        for n in reversed(features):
            self.ups.append(nn.ConvTranspose2d(n * 2, n, kernel_size=2, stride=2))
            self.ups.append(DoubleConv(n * 2, n))
        self.final = nn.Conv2d(features[0], classes, kernel_size=1)

    def forward(self, x):
        skips = []
        for down in self.downs:
            x = down(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)
        for up, conv, skip in zip(self.ups[::2], self.ups[1::2], reversed(skips), strict=True):
            x = up(x)
            if x.shape != skip.shape:  # sizes that don't halve evenly
                x = F.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = conv(torch.cat((skip, x), dim=1))
        return self.final(x)


def build():
    return UNet()


def dice_loss(logits, target):
    p = torch.sigmoid(logits)
    overlap = 2 * (p * target).sum(dim=(1, 2, 3)) + 1
    return 1 - (overlap / (p.sum(dim=(1, 2, 3)) + target.sum(dim=(1, 2, 3)) + 1)).mean()


def training(model):
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, weight_decay=1e-8, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min", patience=3)

    def step(images, masks):
        optimizer.zero_grad(set_to_none=True)
        logits = model(images)
        loss = F.binary_cross_entropy_with_logits(logits, masks) + dice_loss(logits, masks)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step(loss.item())
        return loss.item()

    return step
