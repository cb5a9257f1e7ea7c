"""`bench`: a number that cannot be is told in one sentence, before anything is measured."""

import pytest
from omegaconf import ListConfig

from yolov9_lit.app.configs import compose
from yolov9_lit.building import CONFIG_DIR, build
from yolov9_lit.errors import UserError

WHATS = sorted(path.stem for path in (CONFIG_DIR / "what").glob("*.yaml"))


@pytest.mark.parametrize("what", WHATS)
def test_no_number_of_a_benchmark_may_be_negative(what):
    cfg = compose("bench", [f"what={what}", "data.root=."])
    build(cfg.what)
    for key, value in cfg.what.items():
        several = isinstance(value, ListConfig)
        first = value[0] if several and value else value
        if isinstance(first, bool) or not isinstance(first, int | float):
            continue
        cfg.what[key] = [-1] if several else -1
        with pytest.raises(UserError, match=rf"^what\.{key}=\[?-1\]? is not valid: give (one|a) "):
            build(cfg.what)
        cfg.what[key] = value


def test_the_images_that_are_read_are_those_that_count():
    cfg = compose("bench", ["what=data", "data.root=.", "data.batch_size=4", "what.images=6"])
    with pytest.raises(UserError, match=r"^what\.images=6 .* a multiple of data\.batch_size, 4\.$"):
        build(cfg.what)()
