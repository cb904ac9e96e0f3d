"""A BERT encoder (Devlin et al., 2018): masked language modelling on padded sequences."""

import flambeau as torch
from flambeau import nn


class BertEmbeddings(nn.Module):
    def __init__(self, vocabulary, width, positions, types, dropout):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocabulary, width, padding_idx=0)
        self.position_embeddings = nn.Embedding(positions, width)
        self.token_type_embeddings = nn.Embedding(types, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("position_ids", torch.arange(positions).expand((1, -1)), persistent=False)

    def forward(self, input_ids, token_type_ids):
        x = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)
        x = x + self.position_embeddings(self.position_ids[:, : input_ids.size(1)])
        return self.dropout(self.LayerNorm(x))


class Bert(nn.Module):
    def __init__(self, vocabulary=60, width=32, heads=4, layers=2, positions=24, types=2, dropout=0.0):
        super().__init__()
        self.embeddings = BertEmbeddings(vocabulary, width, positions, types, dropout)
        layer = nn.TransformerEncoderLayer(
            width, heads, dim_feedforward=4 * width, dropout=dropout, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=layers, enable_nested_tensor=False)
        self.pooler = nn.Sequential(nn.Linear(width, width), nn.Tanh())
        self.predictions = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.decoder = nn.Linear(width, vocabulary)
        self.seq_relationship = nn.Linear(width, 2)

    def forward(self, input_ids, token_type_ids):
        x = self.embeddings(input_ids, token_type_ids)
        x = self.encoder(x, src_key_padding_mask=input_ids == 0)
        pooled = self.pooler(x[:, 0])
        return self.decoder(self.predictions(x)), self.seq_relationship(pooled)


def build():
    return Bert()


def training(model):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-6, weight_decay=0.01)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min((n + 1) / 5, 1.0))
    criterion = nn.CrossEntropyLoss(ignore_index=-100)

    def step(input_ids, token_type_ids, labels, is_next):
        optimizer.zero_grad()
        words, relation = model(input_ids, token_type_ids)
        loss = criterion(words.transpose(1, 2), labels) + criterion(relation, is_next)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss.item()

    return step
