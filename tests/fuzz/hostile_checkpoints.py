"""Small checkpoints of each kind that is read, and what can be wrong with them."""

import io
import sys
import tempfile
import zipfile
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from data_properties import MEMORY
from hostile_files import JUNK, SHARES, Files, of_bytes
from hostile_values import mutation, numbers, some, texts, values
from hypothesis import strategies as st
from safetensors.torch import save as save_tensors
from watching import watched

import yolov9_lit
from yolov9_lit.weights.card import ModelCard, model_config
from yolov9_lit.weights.checkpoints import build_detector
from yolov9_lit.weights.deployed import write_deployed

sys.path.append(str(Path(__file__).parents[1] / "weights"))
import published_files

OURS, DEPLOYED, PUBLISHED = "x.ckpt", "x.safetensors", "published.pt"
WIDTHS = ("stem", "p2", "stages", "downs", "spp", "top_down", "bottom_up", "bottom_up_downs")


def _narrow(width: Any) -> Any:
    return [_narrow(part) for part in width] if isinstance(width, list) else 8


@cache
def sound_checkpoints() -> Files:
    """Our own file, its deployed form, and one as the published code pickles them."""
    torch.manual_seed(0)
    model = model_config("gelan_t") | {"num_classes": 2, "elan_depth": 1, "csp_depth": 1}
    model |= {name: _narrow(model[name]) for name in WIDTHS}
    card = ModelCard(model, ("cat", "dog"), (7, 3), 64)
    detector = build_detector(card)
    weights = {f"detector.{name}": value for name, value in detector.state_dict().items()}
    buffer = io.BytesIO()
    torch.save({"card": card.to_dict(), "state_dict": weights, "epoch": 3}, buffer)
    with tempfile.TemporaryDirectory() as folder:
        deployed, published = Path(folder) / DEPLOYED, Path(folder) / PUBLISHED
        write_deployed(deployed, detector, card)
        published_files.save_pickled(published, published_files.build("t", False, 2))
        return {
            OURS: buffer.getvalue(),
            DEPLOYED: deployed.read_bytes(),
            PUBLISHED: published.read_bytes(),
        }


class _Content:
    """What our own file holds while a mutation changes it; nothing where it cannot be read."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def __enter__(self) -> dict[str, Any]:
        try:
            self.content = torch.load(io.BytesIO(self.files[OURS]), weights_only=True)
        except Exception:  # changed before, in any way
            self.content = None
        return self.content if isinstance(self.content, dict) else {}

    def __exit__(self, *_: object) -> None:
        if self.content is not None:
            buffer = io.BytesIO()
            torch.save(self.content, buffer)
            self.files[OURS] = buffer.getvalue()


def _card(content: dict[str, Any]) -> dict[str, Any]:
    card = content.get("card")
    return card if isinstance(card, dict) else {}


def set_top(files: Files, key, value):
    with _Content(files) as content:
        content[key] = value


def set_in_card(files: Files, key, value):
    with _Content(files) as content:
        _card(content)[key] = value


def remove_from_card(files: Files, key):
    with _Content(files) as content:
        _card(content).pop(key, None)


def set_in_model(files: Files, key, value):
    with _Content(files) as content:
        model = _card(content).get("model")
        if isinstance(model, dict):
            *parents, last = key.split(".")
            for parent in parents:
                model = model.get(parent) if isinstance(model, dict) else None
            if isinstance(model, dict):
                model[last] = value


def set_tensor(files: Files, index, value):
    with _Content(files) as content:
        state = content.get("state_dict")
        if isinstance(state, dict) and state:
            state[sorted(state, key=str)[index % len(state)]] = _made(value)


def rename_tensor(files: Files, index, name):
    with _Content(files) as content:
        state = content.get("state_dict")
        if isinstance(state, dict) and state:
            state[name] = state.pop(sorted(state, key=str)[index % len(state)])


def convert_tensors(files: Files, dtype):
    with _Content(files) as content:
        state = content.get("state_dict")
        for name, tensor in state.items() if isinstance(state, dict) else ():
            if isinstance(tensor, torch.Tensor) and not tensor.is_sparse:
                state[name] = tensor.to(getattr(torch, dtype))


def change_pickle(files: Files, file, share, content):
    """Change bytes of the pickle inside the zip, whose checksums stay right."""
    try:
        with zipfile.ZipFile(io.BytesIO(files[file])) as archive:
            records = {name: archive.read(name) for name in archive.namelist()}
    except (TypeError, ValueError, zipfile.BadZipFile, KeyError):  # No zip, or damaged names.
        return
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in records.items():
            start = int(len(data) * share)
            changed = data[:start] + content + data[start + len(content) :]
            archive.writestr(name, changed if name.endswith("data.pkl") else data)
    files[file] = buffer.getvalue()


def change_header(files: Files, share, content):
    """Change bytes of the JSON at the head of a safetensors file."""
    data = files[DEPLOYED]
    length = int.from_bytes(data[:8], "little")
    start = 8 + int(min(length, len(data)) * share)
    files[DEPLOYED] = data[:start] + content + data[start + len(content) :]


def write_header(files: Files, card):
    """Write a safetensors file of one tensor with any text as its card."""
    tensors = {"detector.x": torch.zeros(2)}
    files[DEPLOYED] = save_tensors(tensors, metadata={"yolov9_lit": card})


TENSORS = {
    "nan": lambda: torch.full((8,), float("nan")),
    "scalar": lambda: torch.tensor(1.0),
    "empty": lambda: torch.zeros(0),
    "expanded": lambda: torch.zeros(1).expand(8, 8, 8),
    "complex": lambda: torch.zeros(8, dtype=torch.complex64),
    "sparse": lambda: torch.eye(8).to_sparse(),
    "bool": lambda: torch.zeros(8, dtype=torch.bool),
    "integers": lambda: torch.zeros(8, dtype=torch.int64),
    "meta": lambda: torch.zeros(8, device="meta"),
    "text": lambda: "text",
    "none": lambda: None,
    "list": lambda: [0.0] * 8,
}


def _made(name: str) -> Any:
    return TENSORS[name]()


def checkpoint_mutations() -> dict[str, list[st.SearchStrategy]]:
    """By file."""
    junk = JUNK | st.binary(min_size=1, max_size=8)
    places = st.sampled_from(["format", "model", "class_names", "category_ids", "image_size"])
    model = [
        *WIDTHS,
        "_target_",
        "_convert_",
        "num_classes",
        "in_channels",
        "head",
        "head._target_",
    ]
    model += ["head.box_groups", "head.class_width_factor", "elan_depth", "csp_depth", "plain_p2"]
    model += ["down._target_", "block._target_", "pgi", "backbone._target_", "pgi.x", "unknown"]
    targets = ["os.system", "builtins.eval", "torch.nn.Linear", "yolov9_lit.models.blocks.ResBlock"]
    targets += ["torch.hub.load", "no.module", "yolov9_lit.models", "yolov9_lit.load", "", "."]
    widths = st.lists(st.integers(-1, 300) | numbers, max_size=6)
    wide = widths | st.lists(widths, max_size=4) | st.sampled_from([3, 10**6, 10**9])
    names = st.lists(texts | st.integers(), max_size=4) | st.just(["dog"] * 70_000)
    index = st.integers(0, 999)
    top = st.sampled_from(["card", "state_dict", "epoch", "model", "ema", 7])
    ours = [
        mutation(set_top, key=top, value=values),
        mutation(set_in_card, key=places, value=values | names),
        mutation(set_in_card, key=st.just("class_names"), value=names),
        mutation(remove_from_card, key=places),
        mutation(set_in_model, key=st.sampled_from(model), value=values | wide),
        mutation(set_in_model, key=st.sampled_from(model), value=st.sampled_from(targets)),
        mutation(set_tensor, index=index, value=st.sampled_from([*TENSORS])),
        mutation(rename_tensor, index=index, name=texts | st.integers()),
        mutation(convert_tensors, dtype=st.sampled_from(["float16", "float64", "int8", "bool"])),
        mutation(change_pickle, file=st.just(OURS), share=SHARES, content=junk),
        *of_bytes([OURS]),
    ]
    cards = st.sampled_from(["", "{}", "[]", "null", '{"format": 1}', "[" * 10_000, "1e999", "NaN"])
    deployed = [
        mutation(change_header, share=SHARES, content=junk),
        mutation(write_header, card=cards | st.text(max_size=20)),
        *of_bytes([DEPLOYED]),
    ]
    published = [
        mutation(change_pickle, file=st.just(PUBLISHED), share=SHARES, content=junk),
        *of_bytes([PUBLISHED]),
    ]
    return {OURS: ours, DEPLOYED: deployed, PUBLISHED: published}


RUNS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect")
_watching = False


def _refuse(event: str, _: Any) -> None:
    if _watching and event in RUNS:
        raise AssertionError(f"a checkpoint made it call {event}")


@cache
def _audited() -> None:
    sys.addaudithook(_refuse)


def load_mutated(file: str, mutations: list) -> None:
    """Load a checkpoint that mutations have changed: a predictor, or a sentence; nothing runs."""
    global _watching
    _audited()
    files = dict(sound_checkpoints())
    for change in mutations:
        change(files)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder) / file
        path.write_bytes(files[file])
        with watched():
            try:
                _watching = True
                _assert_finite(yolov9_lit.load(path))
            finally:
                _watching = False


def _assert_finite(predictor: Any) -> None:
    for name, tensor in predictor.state_dict().items():
        assert torch.isfinite(tensor).all(), f"{name} is not finite"


def checkpoint_targets() -> dict[str, tuple[st.SearchStrategy, Any]]:
    names = {OURS: "checkpoint-ours", DEPLOYED: "checkpoint-deployed"}
    names[PUBLISHED] = "checkpoint-published"
    return {
        names[file]: (some(mutations, most=3), partial(load_mutated, file))
        for file, mutations in checkpoint_mutations().items()
    }
