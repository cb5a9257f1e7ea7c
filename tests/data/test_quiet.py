"""What libraries print of images stays away from the terminal, and nothing else does."""

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from itertools import count

import numpy as np
from PIL import Image

from yolov9_lit.data.quiet import no_lines_of_libraries

PIXELS = np.add.outer(np.arange(48), np.arange(64))[..., None] * [1, 2, 3] % 256


def encoded(kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS.astype(np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def write_what_is_complained_of(folder):
    """A file for each library that prints: what it prints of it is in the name."""
    jpeg, png = encoded("JPEG", quality=90), encoded("PNG")
    exif = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, 3, 1000, 99999)
    segment = b"\xff\xe1" + struct.pack(">H", 8 + len(exif)) + b"Exif\0\0" + exif
    size = struct.pack("<HH4I", 7, 8, 9, 1, 2, 3)
    bands = b"II*\0\x08\0\0\0" + struct.pack("<H", 7)
    sides = {256: 9, 257: 9, 258: 8, 259: 1, 262: 1, 273: 8, 277: 7}
    bands += b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in sides.items())
    files = {
        "libjpeg.jpg": jpeg[:200] + b"\0\0" + jpeg[200:],
        "libpng.png": png[:33]
        + png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(9)))
        + png[33:],
        "libpng_error.png": png[:60] + bytes([png[60] ^ 255]) + png[61:],
        "pillow_warns.jpg": jpeg[:2] + segment + jpeg[2:],
        "pillow_logs.tif": bands + size,
        "pillow_fears.png": png[:8]
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 12_000, 10_000, 1, 0, 0, 0, 0))
        + png_chunk(b"IEND", b""),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)


READ = """
import sys, warnings
from pathlib import Path
import cv2
import numpy as np
from PIL import Image
if sys.argv[2] == "ours":
    from yolov9_lit.data.images import UnreadableImage, read_header, read_image
for path in sorted(Path(sys.argv[1]).iterdir()):
    if sys.argv[2] == "ours":
        read_header(path)
        try:
            read_image(path)
        except UnreadableImage as error:
            print(error)
        continue
    cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    try:
        Image.open(path).getexif()
    except OSError:
        pass
"""


def lines_of(folder, reader):
    command = [sys.executable, "-c", READ, str(folder), reader]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()


def test_what_libraries_print_of_images_is_not_seen(tmp_path):
    write_what_is_complained_of(tmp_path)
    plainly = "\n".join(lines_of(tmp_path, "plain"))
    for words in ("Corrupt JPEG", "libpng warning", "libpng error", "EXIF", "samples", "bomb"):
        assert words.lower() in plainly.lower(), f"nothing is printed of {words}"
    assert lines_of(tmp_path, "ours") == []


def test_other_lines_are_kept_and_in_order(capfd):
    with no_lines_of_libraries():
        os.write(2, b"first\nlibpng warning: iCCP: bad\n")
        with no_lines_of_libraries():
            os.write(2, b"Corrupt JPEG data: 2 bytes\nsecond\rthi")
        os.write(2, b"rd\n")
    os.write(2, b"libpng warning: seen\n")
    assert capfd.readouterr().err == "first\nsecond\rthird\nlibpng warning: seen\n"


def test_threads_share_it(capfd):
    numbers = count()

    def write():
        for _ in range(200):
            with no_lines_of_libraries():
                os.write(2, b"Corrupt JPEG data: x\nline %d\n" % next(numbers))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(capfd.readouterr().err.splitlines()) == sorted(f"line {i}" for i in range(800))


def test_a_fork_meanwhile_writes_to_the_real_one(capfd):
    with no_lines_of_libraries():
        if (child := os.fork()) == 0:
            os.write(2, b"child\n")
            with no_lines_of_libraries():
                os.write(2, b"libpng error: x\nagain\n")
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        os.write(2, b"parent\n")
    assert capfd.readouterr().err == "child\nagain\nparent\n"


def test_a_closed_standard_error_is_no_fault():
    code = "import os; from yolov9_lit.data.quiet import *\nos.close(2)\n"
    code += "with no_lines_of_libraries(): print('read')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "read\n")
