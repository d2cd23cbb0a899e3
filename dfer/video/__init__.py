"""File -> frames: videos, frame folders and images as RGB frames with their times, and a writer."""

from dfer.video.arrays import frames_source
from dfer.video.decoders import Frame
from dfer.video.pixels import open_pixels
from dfer.video.segment import cut_segment
from dfer.video.source import FrameSource, open_frames
from dfer.video.writer import VideoWriter

__all__ = ["Frame", "FrameSource", "VideoWriter", "cut_segment", "frames_source", "open_frames", "open_pixels"]
