"""The configuration of all components: trees whose leaves carry the time they were set.

Lists, scalars and empty objects are leaves; other objects are merged. A leaf is written only when
the proposed time is not older than its own, so that a recipe's default (time 1) never replaces what
a deployment or a component has set. Keys are found as they are written, else (but for nucleus lite)
whatever their case.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DEFAULT_TIME = 1

Path = tuple[str, ...]
Listener = Callable[[str, Path], None]


@dataclass(frozen=True, slots=True)
class Leaf:
    value: Any
    time: int
    """Milliseconds since 1970."""

    @property
    def is_object(self) -> bool:
        """An empty one: it takes whatever is merged into it."""
        return isinstance(self.value, dict)


Node = dict[str, Any]  # str to Node or Leaf
FindKey = Callable[[Node, str], str]


class Configuration:
    """Every component's tree, and who wants to hear of its changes.

    `exact_keys`: keys are found in their own spelling only.
    """

    def __init__(self, *, exact_keys: bool = False) -> None:
        self._exact_keys = exact_keys
        self._key = _exact_key if exact_keys else _key
        self._trees: dict[str, Node] = {}
        self._listeners: list[tuple[str, Path, Listener]] = []

    def value(self, component: str, path: Sequence[str] = ()) -> Any:
        """The plain value at `path`. Raises KeyError."""
        return _plain(_find(self._trees.get(component, {}), path, self._key))

    def resolved(self, component: str, path: Sequence[str]) -> tuple[str, Any]:
        """The last key as it is stored, and the value at `path`. Raises KeyError."""
        node: Any = self._trees[component]
        key = ""
        for step in path:
            if not isinstance(node, dict):
                raise KeyError(step)
            key = self._key(node, step)
            node = node[key]
        return key, _plain(node)

    def is_leaf(self, component: str, path: Sequence[str]) -> bool:
        """Whether a list or a scalar is there. Raises KeyError."""
        found = _find(self._trees.get(component, {}), path, self._key)
        return isinstance(found, Leaf) and not found.is_object

    def merge(self, component: str, value: Any, time: int, path: Sequence[str] = ()) -> list[Path]:
        """Merges `value` at `path`; the paths of the leaves that took a new value or time.

        Listeners hear only of changed values. A merge that fails has changed nothing.
        """
        former = self._trees.get(component, {})
        tree = _branches(former)
        nested: Any = value
        for key in reversed(path):
            nested = {key: nested}
        written: list[Path] = []
        _merge(tree, nested, time, (), written, self._key)
        self._trees[component] = tree
        self._tell(component, _leaves(former), _leaves(tree))
        return written

    def reset(self, component: str, pointer: str) -> None:
        """Removes what a JSON pointer names; "" is everything.

        Raises ValueError for an element of an array.
        """
        tree = self._trees.get(component)
        if tree is None:
            return
        before = _leaves(tree)
        path = parse_pointer(pointer)
        if not path:
            tree.clear()
        else:
            _remove(tree, path, self._key)
        self._tell(component, before, _leaves(tree))

    def remove(self, component: str) -> None:
        self._trees.pop(component, None)

    def subscribe(
        self, component: str, path: Sequence[str], listener: Listener
    ) -> Callable[[], None]:
        """Calls `listener(component, path of the changed leaf)`; returns what ends that."""
        entry = (component, tuple(path), listener)
        self._listeners.append(entry)

        def end() -> None:
            if entry in self._listeners:
                self._listeners.remove(entry)

        return end

    def copy(self) -> "Configuration":
        """The same trees, and no listeners."""
        twin = Configuration(exact_keys=self._exact_keys)
        twin._trees = self.snapshot()
        return twin

    def snapshot(self) -> dict[str, Node]:
        return copy.deepcopy(self._trees)

    def restore(self, trees: Mapping[str, Node]) -> None:
        """Goes back to a snapshot, values and times alike; listeners hear of what differs."""
        before = {name: _leaves(tree) for name, tree in self._trees.items()}
        self._trees = copy.deepcopy(dict(trees))
        for name in {*before, *self._trees}:
            self._tell(name, before.get(name, {}), _leaves(self._trees.get(name, {})))

    def to_json(self) -> dict[str, Any]:
        return {name: _encode(tree) for name, tree in self._trees.items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], *, exact_keys: bool = False) -> "Configuration":
        configuration = cls(exact_keys=exact_keys)
        configuration._trees = {name: _decode(tree) for name, tree in stored.items()}
        return configuration

    def _tell(self, component: str, before: dict[Path, Leaf], after: dict[Path, Leaf]) -> None:
        changed = [
            p for p, leaf in after.items() if p not in before or before[p].value != leaf.value
        ]
        changed += [p for p, leaf in before.items() if p not in after and not leaf.is_object]
        for path in changed:
            for name, prefix, listener in list(self._listeners):
                if name == component and _starts(path, prefix, exact_keys=self._exact_keys):
                    listener(component, path)


def update(
    configuration: Configuration,
    component: str,
    *,
    defaults: Mapping[str, Any],
    reset: Sequence[str],
    merge: Mapping[str, Any],
    time: int,
) -> None:
    """One component's part of a deployment: reset, then the recipe's defaults, then the merge."""
    for pointer in reset:
        configuration.reset(component, pointer)
    configuration.merge(component, defaults, DEFAULT_TIME)
    configuration.merge(component, merge, time)


def parse_pointer(pointer: str) -> Path:
    """The keys of a JSON pointer (RFC 6901). Raises ValueError when it has no leading slash."""
    if not pointer:
        return ()
    if not pointer.startswith("/"):
        raise ValueError(f"{pointer!r} is no JSON pointer")
    return tuple(key.replace("~1", "/").replace("~0", "~") for key in pointer[1:].split("/"))


def _key(node: Node, wanted: str) -> str:
    if wanted in node:
        return wanted
    for key in node:
        if key.lower() == wanted.lower():
            return key
    raise KeyError(wanted)


def _exact_key(node: Node, wanted: str) -> str:
    if wanted not in node:
        raise KeyError(wanted)
    return wanted


def _find(node: Any, path: Sequence[str], find_key: FindKey) -> Any:
    for step in path:
        if not isinstance(node, dict):
            raise KeyError(step)
        node = node[find_key(node, step)]
    return node


def _merge(
    node: Node,
    value: Mapping[str, Any],
    time: int,
    at: Path,
    written: list[Path],
    find_key: FindKey,
) -> None:
    for wanted, new in value.items():
        try:
            key = find_key(node, wanted)
        except KeyError:
            key = wanted
        old = node.get(key)
        path = (*at, key)
        if isinstance(new, Mapping) and (new or (isinstance(old, dict) and old)):
            if not isinstance(old, dict):
                if isinstance(old, Leaf) and old.time > time and not old.is_object:
                    continue
                old = node[key] = {}
            _merge(old, new, time, path, written, find_key)
        elif _newest(old) <= time:
            node[key] = Leaf(copy.deepcopy(new), time)
            written.append(path)


def _branches(node: Node) -> Node:
    """A copy with the same leaves, which never change."""
    return {
        key: child if isinstance(child, Leaf) else _branches(child) for key, child in node.items()
    }


def _newest(node: Any) -> int:
    if isinstance(node, Leaf):
        return node.time
    return max((leaf.time for leaf in _leaves(node or {}).values()), default=0)


def _remove(tree: Node, path: Path, find_key: FindKey) -> None:
    try:
        parent = _find(tree, path[:-1], find_key)
    except KeyError:
        return
    if isinstance(parent, Leaf) and isinstance(parent.value, list):
        raise ValueError("an element of an array cannot be reset")  # noqa: TRY004 - the input's fault
    if isinstance(parent, dict):
        try:
            del parent[find_key(parent, path[-1])]
        except KeyError:
            return


def _starts(path: Path, prefix: Path, *, exact_keys: bool) -> bool:
    """Whether a change at `path` concerns who watches `prefix` (or what lies above it)."""
    size = min(len(path), len(prefix))
    if exact_keys:
        return path[:size] == prefix[:size]
    return [k.lower() for k in path[:size]] == [k.lower() for k in prefix[:size]]


def _leaves(node: Node) -> dict[Path, Leaf]:
    return dict(_walk(node, ()))


def _walk(node: Node, at: Path) -> Iterator[tuple[Path, Leaf]]:
    for key, child in node.items():
        if isinstance(child, Leaf):
            yield (*at, key), child
        else:
            yield from _walk(child, (*at, key))


def _plain(node: Any) -> Any:
    if isinstance(node, Leaf):
        return _copied(node.value)
    return {key: _plain(child) for key, child in node.items()}


def _copied(value: Any) -> Any:
    """Of JSON's kinds of values; far quicker than a general copy, and every message asks for it."""
    if isinstance(value, list):
        return [_copied(held) for held in value]
    if isinstance(value, dict):
        return {key: _copied(held) for key, held in value.items()}
    return value


def _encode(node: Any) -> Any:
    if isinstance(node, Leaf):
        return [node.time, node.value]
    return {key: _encode(child) for key, child in node.items()}


def _decode(node: Any) -> Any:
    if isinstance(node, list):
        return Leaf(node[1], node[0])
    return {key: _decode(child) for key, child in node.items()}
