"""Aligned crops on disk: the store and its manifest."""

from dfer.store.clips import CropRecord, clip_writer, read_clip_record, write_clip
from dfer.store.paths import clip_path
from dfer.store.reading import read_clip
from dfer.store.store import DatasetInfo, Store, open_store, read_info, write_info

__all__ = [
    "CropRecord",
    "DatasetInfo",
    "Store",
    "clip_path",
    "clip_writer",
    "open_store",
    "read_clip",
    "read_clip_record",
    "read_info",
    "write_clip",
    "write_info",
]
