"""Every setting that a command cannot use is one sentence that names it; training has its own."""

import importlib

import pytest

from yolov9_lit.app.configs import compose
from yolov9_lit.building import config_mistakes
from yolov9_lit.data.__main__ import main as data_command
from yolov9_lit.errors import UserError

NUMBERS = ("abc", "-3", "null", "[1]", "{a:1}", "''", "true", "nan")
TRUTHS = ("abc", "-3", "0", "null", "[1]", "{a:1}", "''", "1.5", "nan")
PATHS = ("-3", "1.5", "null", "[1]", "{a:1}", "''", "true")

BASES = {
    "bench": ("data.root=nowhere",),
    "eval": ("ckpt=nowhere.ckpt", "data.root=nowhere", "run_dir=run"),
    "predict": ("ckpt=nowhere.ckpt", "source=.", "run_dir=run"),
    "export": ("ckpt=nowhere.ckpt", "out=x.onnx"),
    "convert": ("src=nowhere.ckpt", "out=x.ckpt"),
    "report": ("runs=nowhere", "out=x"),
    "figures": ("out=x",),
    "summary": ("model=gelan_t",),
}

WRONG = {
    "eval ckpt": PATHS,
    "eval run_dir": PATHS,
    "eval deploy": TRUTHS,
    "eval pictures": NUMBERS,
    "eval evaluation.report": TRUTHS,
    "eval evaluation.analyses": ("abc", "1.5", "[1]", "true"),
    "eval evaluation.nms.iou": ("abc", "-3", "null", "[1]", "{a:1}", "''", "true", "nan", "1.5"),
    "eval evaluation.nms.confidence": (*NUMBERS, "1.5"),
    "eval evaluation.nms.max_detections": (*NUMBERS, "0", "1.5"),
    "eval evaluation.metric": ("abc", "-3", "null", "[1]", "true"),
    "eval data.image_size": (*set(NUMBERS) - {"null"}, "0", "1.5", "100", "65568"),
    "eval data.batch_size": (*NUMBERS, "0", "1.5"),
    "eval data.num_workers": (*NUMBERS, "1.5"),
    "eval data.strict": TRUTHS,
    "eval trainer.precision": ("nonsense", "17"),
    "eval trainer.limit_test_batches": ("1.5", "-1", "abc"),
    "eval seed": (*NUMBERS, "1.5"),
    "eval head": ("-3", "1.5", "[1]", "true"),
    "bench seed": ("abc", "null", "[1]", "true", "-3"),
    "bench what.rounds": ("abc", "null", "[1]", "true", "1.5"),
    "bench what.images": ("abc", "null", "[1]", "true", "1.5"),
    "predict ckpt": PATHS,
    "predict source": PATHS,
    "predict run_dir": PATHS,
    "predict batch_size": (*NUMBERS, "0", "1.5"),
    "predict save_pictures": TRUTHS,
    "export ckpt": PATHS,
    "export out": PATHS,
    "export batch": (*set(NUMBERS) - {"null"}, "0", "1.5"),
    "export image_size": (*set(NUMBERS) - {"null"}, "0", "1.5", "100", "65568"),
    "export half": TRUTHS,
    "export int8": TRUTHS,
    "export calibration_images": (*NUMBERS, "0", "1.5"),
    "export seed": (*NUMBERS, "1.5"),
    "export nms": TRUTHS,
    "export confidence": (*NUMBERS, "1.5"),
    "export iou": (*NUMBERS, "1.5"),
    "export max_detections": (*NUMBERS, "0", "1.5"),
    "convert src": PATHS,
    "convert out": PATHS,
    "convert deploy": TRUTHS,
    "report runs": PATHS,
    "report out": PATHS,
    "report base": ("abc", "-3", "1.5", "true", "[1]"),
    "report replicates": (*NUMBERS, "0", "1.5"),
    "report seed": (*NUMBERS, "1.5"),
    "figures image": ("-3", "1.5", "{a:1}", "true", "[1]"),
    "figures ckpt": ("-3", "1.5", "{a:1}", "true", "[1]"),
    "figures out": PATHS,
    "figures figure.drawings": ("abc", "-3", "null", "true", "1.5"),
    "summary image_size": (*NUMBERS, "0", "1.5", "100", "65568"),
    "summary num_classes": (*NUMBERS, "0", "1.5"),
    "summary ckpt": ("-3", "1.5", "[1]", "{a:1}", "true"),
    "summary rows": ("-3", "1.5", "[1]", "{a:1}", "true"),
    "summary markdown": TRUTHS,
}

DATA = {
    "check root=nowhere": "root",
    "check root=. workers=0": "workers=0",
    "check root=. workers=a": "workers=a",
    "check root=. images=a": "annotations and images",
    "check root=": "check takes root",
    "check roof=.": "check takes root",
    "shard out=x root=nowhere": "nowhere",
    "shard out=x": "root",
    "shard out=x root=. shard_mb=0": "shard_mb=0",
    "shard out=x root=. seed=-1": "seed=-1",
    "convert format=abc src=. out=x": "abc",
    "convert format=yolo src=nowhere out=x": "src",
    "convert format=yolo src=. out=x strict=maybe": "strict=maybe",
    "convert format=yolo src=. out=x to=abc": "abc",
    "download name=abc root=x": "abc",
    "download name=coco root=x keep=maybe": "keep=maybe",
    "download name=coco root=x splits=abc": "abc",
    "tile data=coco": "tile takes out",
    "tile out=x size=16": "size=16",
    "tile out=x overlap=1": "overlap=1",
    "tile out=x visible=a": "visible=a",
    "tile out=x empty=nan": "empty=nan",
    "tile out=x data=coco": "data.root",
    "tile out=x data=coco data.root=nowhere": "nowhere",
    "preview out=x.png count=0": "count=0",
    "preview out=x.png count=1.5": "count=1.5",
    "preview out=x.png data=cocco": "data=cocco",
    "preview out=x.png modl=3": "modl",
    "preview out=x.png data=coco": "data.root",
    "preview out=x.png data=coco data.root=nowhere": "nowhere",
    "nonsense": "unknown command",
}


@pytest.mark.parametrize("setting", WRONG)
def test_a_wrong_value_is_refused_by_its_key(tmp_path, monkeypatch, setting):
    monkeypatch.chdir(tmp_path)
    name, key = setting.split()
    task = importlib.import_module(f"yolov9_lit.{name}").main
    while hasattr(task, "__wrapped__"):
        task = task.__wrapped__
    for value in WRONG[setting]:
        with pytest.raises(UserError) as error, config_mistakes():
            task(compose(name, [*BASES[name], f"++{key}={value}"]))
        assert key in str(error.value), value
        assert "\n" not in str(error.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("line", DATA)
def test_a_wrong_line_of_the_data_command_is_a_sentence(tmp_path, monkeypatch, capsys, line):
    monkeypatch.chdir(tmp_path)
    assert data_command(line.split()) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert DATA[line] in told
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
