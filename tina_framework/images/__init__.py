"""Read pictures of any kind, find them in folders, bring them to the size that a network takes, and standardise them."""

from tina_framework.images.collect import as_picture, picture_batches, pictures, separated
from tina_framework.images.contact_sheet import MOST_CELLS, SheetCell, check_sheet_path, write_contact_sheet
from tina_framework.images.fit import FIT, check_crop_pct, fit_picture, fit_settings, read_fit_settings
from tina_framework.images.folders import class_folders, picture_files, split_folders, split_of
from tina_framework.images.preprocessing import Preprocessing
from tina_framework.images.reader import read_picture, to_rgb

__all__ = [
    "FIT",
    "MOST_CELLS",
    "Preprocessing",
    "SheetCell",
    "as_picture",
    "check_crop_pct",
    "check_sheet_path",
    "class_folders",
    "fit_picture",
    "fit_settings",
    "picture_batches",
    "picture_files",
    "pictures",
    "read_fit_settings",
    "read_picture",
    "separated",
    "split_folders",
    "split_of",
    "to_rgb",
    "write_contact_sheet",
]
