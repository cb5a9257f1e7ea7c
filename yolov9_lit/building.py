"""From a config to the object that it describes; what is wrong with a config, in sentences."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, get_args, get_type_hints

import hydra.utils
from hydra.errors import (
    ConfigCompositionException,
    InstantiationException,
    OverrideParseException,
)
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import (
    InterpolationResolutionError,
    InterpolationToMissingValueError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

from yolov9_lit.errors import UserError
from yolov9_lit.kinds import fits, shown, words

_PACKAGE = Path(__file__).resolve().parent
CONFIG_DIR = next(d for d in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if d.is_dir())
"""The configs: inside the package when installed, beside it in a checkout."""

_MISSING = re.compile(r"[Mm]issing (?:mandatory )?value: '?([\w.]+)")

_HYDRAS: Mapping[str, Any] = {
    "_target_": str,
    "_partial_": bool,
    "_recursive_": bool,
    "_convert_": str,
    "_args_": list,
}
"""Keys of a node that say how it is built."""


def build(cfg: Any, **arguments: Any) -> Any:
    """Instantiate a config node.

    Args:
        cfg: with a `_target_`.
        arguments: further or overriding ones.

    Raises:
        UserError: a value is not of its kind, or the constructor refused it.
    """
    check(cfg, dict.fromkeys(arguments, Any))
    try:
        return hydra.utils.instantiate(cfg, **arguments)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from error
        if not isinstance(cause, _refusals()):
            raise
        raise UserError(f"{refusal(_refused(cfg, error), cause)}.") from cause


def check(cfg: Any, kinds: Mapping[str, Any] | None = None) -> None:
    """Compare the values of a config node, and of all nodes in it, with what they are for.

    Args:
        cfg: what has a `_target_` is compared with that constructor's annotations.
        kinds: of values by dotted key, from this node on, "*" for those of other names; they go
            before the annotations.

    Raises:
        UserError: the first value that is not of its kind, a key that the constructor does not
            take, or a constructor that does not exist.
    """
    if isinstance(cfg, ListConfig):
        for node in cfg:
            check(node)
    if not isinstance(cfg, DictConfig):
        return
    given = kinds or {}
    known = {**_kinds(cfg), **_HYDRAS, **given} if "_target_" in cfg else given
    for key in map(str, cfg):
        value = _value(cfg, key)
        kind = known.get(key, known.get("*", Any))
        plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        if not fits(plain, kind):
            raise UserError(f"{_name(cfg, key)}={shown(plain)} is not valid: give {words(kind)}.")
        prefix = f"{key}."
        check(value, {k.removeprefix(prefix): v for k, v in given.items() if k.startswith(prefix)})


def refusal(cfg: Any, cause: Exception, keys: Sequence[str] = ()) -> str:
    """Write a constructor's refusal with the settings that it is about, without a full stop.

    Args:
        cfg: the constructor's node.
        cause: what it raised.
        keys: of the settings, where the refusal tells none.
    """
    text = str(cause).strip().split("\n")[0].split(". ")[0].rstrip(".!")
    if not isinstance(cfg, DictConfig):
        return f"{cfg.get('_target_', 'The config')}: {text}"
    told = [key for key in cfg if _mentions(text, str(key), cfg[key])] or keys
    where = " ".join(f"{_name(cfg, key)}={shown(cfg[key])}" for key in told)
    return f"{where or cfg.get('_target_', 'The config')}: {text}"


def setting_names(target: Any) -> set[str] | None:
    """Return the names of a constructor's arguments; None where it takes any."""
    return _arguments(target)[1]


def _kinds(cfg: DictConfig) -> dict[str, Any]:
    """Return the kinds of a constructor's arguments, by name, as far as it tells them.

    Of other arguments, `**more: Annotated[Any, X]` says that they are those of X.
    """
    path = _value(cfg, "_target_")
    try:
        hints, names = _arguments(resolve_name(path))
    except (ImportError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{_name(cfg, '_target_')}={path} cannot be called ({_first_line(error)}): "
            "give the path of a class or function."
        ) from error
    for key in cfg:
        if names is not None and key not in names and key not in _HYDRAS:
            near = get_close_matches(str(key), names, n=5, cutoff=0.0)
            raise UserError(
                f"{_name(cfg, key)} is no setting of {path}: leave it out, or give one "
                f"of its own, such as {', '.join(near)}."
            )
    return hints


def _arguments(target: Any) -> tuple[dict[str, Any], set[str] | None]:
    """Return the kinds and the names of a constructor's arguments; None where it takes any."""
    parameters = inspect.signature(target).parameters
    hints, names = _hints(target), set(parameters)
    for name, parameter in parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            *_, other = get_args(hints.pop(name, None)) or (None,)
            if other is None:
                return hints, None
            more, others = _arguments(other)
            hints, names = more | hints, names - {name} | (others or set())
    return hints, names


def _value(cfg: DictConfig, key: str) -> Any:
    try:
        return cfg[key]
    except InterpolationResolutionError as error:
        reason = error.__cause__ or _first_line(error)
        raise UserError(
            f"{_name(cfg, key)} cannot be resolved ({reason}): correct what it is made of."
        ) from error


def _hints(target: Any) -> dict[str, Any]:
    if isinstance(target, type) and not dataclasses.is_dataclass(target):
        target = inspect.getattr_static(target, "__init__")
    try:
        return get_type_hints(target, include_extras=True)
    except Exception:  # An annotation may name what is imported for type checkers only.
        return {}


def _refusals() -> tuple[type[Exception], ...]:
    """Return the exceptions by which a constructor tells that it does not take a value."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    return ValueError, TypeError, LookupError, RuntimeError, ImportError, MisconfigurationException


def _refused(cfg: Any, error: InstantiationException) -> Any:
    """Return the node whose constructor raised, within the one that was to be built."""
    found = re.search(r"full_key: (\S+)", str(error))
    inner = found and isinstance(cfg, DictConfig) and OmegaConf.select(cfg._get_root(), found[1])
    return inner or cfg


def _mentions(text: str, key: str, value: Any) -> bool:
    quoted = isinstance(value, str) and value and f"'{value}'" in text
    return key not in _HYDRAS and bool(quoted or re.search(rf"\b{re.escape(key)}\b", text))


def _name(cfg: DictConfig, key: Any) -> str:
    """Return the key that a user gives for a value; of an interpolation, the key it refers to."""
    node = cfg._get_node(key)
    taken = re.fullmatch(r"\$\{([\w.]*\w)\}", str(node._value())) if node is not None else None
    if taken and not taken[1].startswith("."):
        return taken[1]
    return re.sub(r"\[(\d+)\]", r".\1", str(cfg._get_full_key(key)))


@contextmanager
def config_mistakes() -> Iterator[None]:
    """Raise a `UserError` for a config that lacks a value or cannot be composed."""
    try:
        yield
    except (MissingMandatoryValue, InterpolationToMissingValueError) as error:
        missing = _MISSING.search(str(error))
        key = missing[1] if missing else str(getattr(error, "full_key", None) or "A setting")
        raise UserError(f"{key} is not given: add {key}=VALUE to the command.") from error
    except OverrideParseException as error:
        raise UserError(
            f"{error.override} cannot be read ({_first_line(error)}): correct the override; a "
            "value with one of = , [ ] { } or a quote in it needs quotes that survive the shell, "
            "'key=\"a=b.jpg\"'."
        ) from error
    except (ConfigCompositionException, OmegaConfBaseException) as error:
        raise UserError(f"{_first_line(error).rstrip('.')}: correct the override.") from error


def quoted(text: str) -> str:
    """Write a value as Hydra's override grammar takes it, whatever is in it."""
    # Backslashes are literal except before a quote, the closing one included.
    doubled = re.sub(r"\\+(?='|$)", lambda found: found[0] * 2, text)
    return "'" + doubled.replace("'", "\\'") + "'"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
