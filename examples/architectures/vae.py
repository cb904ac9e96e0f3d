"""A variational autoencoder (Kingma and Welling, 2013) with convolutions."""

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn


class VAE(nn.Module):
    def __init__(self, channels=1, width=8, latent=6):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        )
        self.fc_mu = nn.Linear(2 * width * 16, latent)
        self.fc_logvar = nn.Linear(2 * width * 16, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, 2 * width * 16),
            nn.Unflatten(1, (2 * width, 4, 4)),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.ELU(),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )

    def encode(self, x):
        h = self.encoder(x)
        return self.fc_mu(h), self.fc_logvar(h)

    def reparameterize(self, mu, logvar, noise=None):
        std = torch.exp(0.5 * logvar)
        return mu + (torch.randn_like(std) if noise is None else noise) * std

    def forward(self, x, noise=None):
        mu, logvar = self.encode(x)
        return self.decoder(self.reparameterize(mu, logvar, noise)), mu, logvar


def build():
    return VAE()


def training(model):
    optimizer = torch.optim.Adamax(model.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.98)

    def step(images, noise):
        optimizer.zero_grad()
        recon, mu, logvar = model(images, noise)
        bce = F.binary_cross_entropy(recon, images, reduction="sum")
        kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        loss = (bce + kld) / images.size(0)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss.item()

    return step
