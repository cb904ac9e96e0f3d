"""A bidirectional LSTM that tags words of sentences of different lengths, packed."""

import flambeau as torch
import flambeau.nn.functional as F
from flambeau import nn
from flambeau.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Tagger(nn.Module):
    def __init__(self, vocabulary=40, embedding=16, hidden=24, tags=7, layers=2):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=0)
        self.lstm = nn.LSTM(embedding, hidden, num_layers=layers, bidirectional=True, batch_first=True)
        self.tag = nn.Linear(2 * hidden, tags)

    def forward(self, words, lengths):
        x = pack_padded_sequence(self.embedding(words), lengths, batch_first=True, enforce_sorted=False)
        packed, _ = self.lstm(x)
        out, _ = pad_packed_sequence(packed, batch_first=True, total_length=words.size(1))
        return self.tag(out)


def build():
    return Tagger()


def training(model):
    optimizer = torch.optim.NAdam(model.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.7)

    def step(words, lengths, tags):
        model.zero_grad()
        logits = model(words, lengths)
        loss = F.cross_entropy(logits.reshape(-1, logits.size(-1)), tags.reshape(-1), ignore_index=-1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
        optimizer.step()
        scheduler.step()
        return loss.item()

    return step
