"""What a user writes; mypy and pyright must know every type. Checked, never run."""

from __future__ import annotations

from typing import assert_type

import flambeau as fb
import flambeau.nn.functional as F
from flambeau import nn, optim

x = fb.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
assert_type(x, fb.Tensor)
assert_type(fb.Tensor.sum(x), fb.Tensor)
assert_type(x.sum(), fb.Tensor)
assert_type(x + 1, fb.Tensor)
assert_type((x**2).mean(dim=0, keepdim=True), fb.Tensor)
assert_type(fb.exp(x), fb.Tensor)
assert_type(x.requires_grad, bool)

assert_type(fb.nn.Linear(3, 1)(x), fb.Tensor)
assert_type(F.relu(x), fb.Tensor)

optimizer = fb.optim.AdamW(fb.nn.Linear(3, 1).parameters(), lr=1e-3)
assert_type(optimizer, optim.AdamW)


class SimpleNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(3, 1)

    def forward(self, x: fb.Tensor) -> fb.Tensor:
        return self.fc1(x)


model = SimpleNN()
loss = nn.MSELoss()(model(x), fb.zeros(1, 1))
loss.backward()
optimizer.step()
print(loss.item())


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(100, 8)
        self.lstm = nn.LSTM(8, 16, batch_first=True)
        self.head = nn.Linear(16, 4)

    def forward(self, tokens: fb.Tensor) -> tuple[fb.Tensor, int]:
        states, (h, _) = self.lstm(self.embedding(tokens))
        assert_type(h, fb.Tensor)
        return self.head(states), 1


tagger = Tagger()
assert_type(tagger.lstm, nn.LSTM)
assert_type(tagger.head.weight, nn.Parameter)
assert_type(tagger(fb.tensor([[1, 2]])), tuple[fb.Tensor, int])
assert_type(nn.Transformer(8, 2)(x, x), fb.Tensor)
