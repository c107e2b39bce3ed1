"""The layers of STFNet, one a file, in Keras 3 alone: they run on every Keras backend."""

from stfnet.layers.attention_lstm import AttentionLSTM
from stfnet.layers.fusion import IdentitySum, InterleaveChannels, StreamDropout, interleave_channels
from stfnet.layers.input_normalization import FlowNormalization, RGBNormalization
from stfnet.layers.layer_norm_lstm import GateNormalization, LayerNormLSTM, LayerNormLSTMCell
from stfnet.layers.score_average import ScoreAverage
from stfnet.layers.vgg_stream import VGGStream
