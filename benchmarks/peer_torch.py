"""The same network stated plainly in PyTorch: a peer for `benchmarks.network`."""

import torch
from torch import nn

from stfnet.layers.vgg_stream import VGG16_BLOCKS
from stfnet.networks import ModelConfig


def _vgg(channels):
    layers = []
    for block, widths in enumerate(VGG16_BLOCKS):
        if block:
            layers.append(nn.MaxPool2d(2))
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers)


class LayerNormLSTM(nn.Module):
    """LSTM whose three sigmoid gates are layer-normalised, (B, T, F) to (B, T, units)."""

    def __init__(self, features, units):
        super().__init__()
        self.units = units
        self.input = nn.Linear(features, 4 * units)
        self.recurrent = nn.Linear(units, 4 * units, bias=False)
        self.norms = nn.ModuleList(nn.LayerNorm(units, bias=False) for _ in range(3))

    def forward(self, x):
        projected = self.input(x)
        h = c = x.new_zeros(len(x), self.units)
        outputs = []
        for t in range(x.shape[1]):
            i, f, o, candidate = (projected[:, t] + self.recurrent(h)).chunk(4, dim=1)
            i, f, o = (torch.sigmoid(n(v)) for n, v in zip(self.norms, (i, f, o), strict=True))
            c = f * c + i * torch.tanh(candidate)
            h = o * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, 1)


class PeerSTFNet(nn.Module):
    """STFNet at the paper's settings, on float frames (B, T, 3, H, W) and flow (B, T, 2L, H, W)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        clip, units = config.clip, config.lstm_units
        side = clip.image_size // 16
        self.streams = nn.ModuleList([_vgg(3), _vgg(2 * clip.flow_length)])
        self.fusion = nn.Conv3d(1024, 512, 3, padding=1)
        self.fc6 = nn.Linear(512 * (side // 2) ** 2, config.fc6_units)
        self.lstm_conv = LayerNormLSTM(512 * side**2, units)
        self.lstm_fc = LayerNormLSTM(config.fc6_units, units)
        self.lstm_merged = LayerNormLSTM(2 * units, units)
        self.drop_fc6, self.drop = nn.Dropout(config.fc6_dropout), nn.Dropout(config.lstm_dropout)
        self.logits = nn.Linear(units, config.num_classes)

    def forward(self, rgb, flow):
        clips, frames = rgb.shape[:2]
        a, b = (
            stream(x.flatten(0, 1)) for stream, x in zip(self.streams, (rgb, flow), strict=True)
        )
        x = torch.stack([a, b], 2).flatten(1, 2)  # channels a1, b1, a2, b2, ...
        x = x.unflatten(0, (clips, frames)).transpose(1, 2)  # b c t h w
        fused = torch.relu(self.fusion(x)).transpose(1, 2)  # b t c h w
        pooled = nn.functional.max_pool2d(fused.flatten(0, 1), 2).flatten(1)
        x_fc = self.drop_fc6(torch.relu(self.fc6(pooled))).unflatten(0, (clips, frames))
        h_conv = self.drop(self.lstm_conv(fused.flatten(2)))
        h_fc = self.drop(self.lstm_fc(x_fc))
        h = self.drop(self.lstm_merged(torch.cat([h_conv, h_fc], 2)))[:, -1]
        return self.logits(h)
