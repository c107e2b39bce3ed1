import pytest

# Encoder and options that give interlaced pictures; the endings are those of camcorders and discs.
INTERLACED = {
    "h264.mp4": ("libx264", {"flags": "+ildct+ilme", "x264-params": "tff=1"}, {}),
    "avchd.mts": ("libx264", {"flags": "+ildct+ilme"}, {}),
    "broadcast.ts": ("mpeg2video", {"flags": "+ildct+ilme"}, {}),
    "disc.vob": ("mpeg2video", {"flags": "+ildct+ilme"}, {}),
    "disc.mpg": ("mpeg2video", {"flags": "+ildct+ilme"}, {}),
    "xvid.avi": ("mpeg4", {"flags": "+ildct+ilme"}, {}),
    "camcorder.avi": ("dvvideo", {}, {"size": (720, 576)}),
    "studio.mov": ("prores_ks", {"flags": "+ildct"}, {"pixels": "yuv422p10le"}),
}


@pytest.fixture(params=INTERLACED)
def interlaced(request, tmp_path, encode):
    codec, options, more = INTERLACED[request.param]
    path = tmp_path / request.param.replace(".mts", ".ts")
    encode(path, codec, options=options, **more)
    return path.rename(tmp_path / request.param)
