# The normal form of a program: its syntax tree as text, without what changes nothing.
#
# The program is data here: it is parsed, and never run. A name is replaced by a number only
# where nothing but the program's own statements can tell it from another: names that are also
# attributes, keywords, imports, builtins or parts of texts stay as they are.
import ast
import builtins
import re

# The field in which a node that binds or uses a name holds it.
NAMES = {
    "Name": "id",
    "arg": "arg",
    "FunctionDef": "name",
    "AsyncFunctionDef": "name",
    "ClassDef": "name",
    "ExceptHandler": "name",
    "MatchAs": "name",
    "MatchStar": "name",
    "MatchMapping": "rest",
}
BODIES = ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef
WORD = re.compile(r"\w+")


def drop_docstring(node):
    """Without the text that opens a body, which nothing evaluates."""
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        if isinstance(first.value.value, str):
            node.body[:1] = [] if len(node.body) > 1 else [ast.Pass()]


def walk(node):
    """The nodes of a tree in the order of their fields, a node before its children."""
    yield node
    for child in ast.iter_child_nodes(node):
        yield from walk(child)


def kept_names(nodes):
    """Names that somebody else may know."""
    kept = set(dir(builtins))
    for node in nodes:
        if isinstance(node, ast.Attribute):
            kept.add(node.attr)
        elif isinstance(node, ast.keyword) and node.arg:
            kept.add(node.arg)
        elif isinstance(node, ast.alias):
            kept.update((node.name.split(".")[0], node.asname))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            kept.update(WORD.findall(node.value))
    return kept


def bound_names(nodes):
    """Names that the program gives a meaning to."""
    for node in nodes:
        field = NAMES.get(type(node).__name__)
        if field and not isinstance(getattr(node, "ctx", None), ast.Load):
            yield getattr(node, field)


def normal_form(program):
    tree = ast.parse(program)
    for node in ast.walk(tree):
        if isinstance(node, BODIES):
            drop_docstring(node)
    nodes = list(walk(tree))
    kept = kept_names(nodes)
    # After `from m import *` any name may be the module's.
    if not any(isinstance(node, ast.alias) and node.name == "*" for node in nodes):
        numbers = {}
        own = {name for name in bound_names(nodes) if name and name[:2] != "__"} - kept

        def number(name):
            return numbers.setdefault(name, "$%d" % len(numbers)) if name in own else name

        for node in nodes:
            field = NAMES.get(type(node).__name__)
            if field:
                setattr(node, field, number(getattr(node, field)))
            elif isinstance(node, (ast.Global, ast.Nonlocal)):
                node.names = [number(name) for name in node.names]
    return ast.dump(tree)


def normal_form_or_none(program):
    try:
        return normal_form(program)
    except MemoryError:
        raise
    except Exception:
        return None
