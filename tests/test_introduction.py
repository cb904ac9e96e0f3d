"""The code blocks of a PyTorch introduction, with only the import names changed."""

from __future__ import annotations

import pytest


def test_two_vectors(capsys: pytest.CaptureFixture[str]) -> None:
    import flambeau as torch

    x = torch.tensor([1.0, 2.0, 3.0])
    y = torch.tensor([4.0, 5.0, 6.0])
    print(x)
    z = x + y
    print(z)
    assert capsys.readouterr().out == "tensor([1., 2., 3.])\ntensor([5., 7., 9.])\n"


def test_gradient(capsys: pytest.CaptureFixture[str]) -> None:
    import flambeau as torch

    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x**2).sum()
    y.backward()
    print(x.grad)
    assert capsys.readouterr().out == "tensor([2., 4., 6.])\n"


def test_simple_network() -> None:
    import flambeau as torch
    import flambeau.nn as nn
    import flambeau.optim as optim

    torch.manual_seed(0)

    class SimpleNN(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1 = nn.Linear(3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc1(x)

    model = SimpleNN()
    criterion = nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    inputs = torch.tensor([[1.0, 2.0, 3.0]])
    target = torch.tensor([[1.0]])

    losses = []
    for _ in range(3):
        output = model(inputs)
        loss = criterion(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert isinstance(losses[0], float)
    assert losses[2] < losses[1] < losses[0]
