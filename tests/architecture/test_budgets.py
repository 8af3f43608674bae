"""How large and how tangled the code may become. Read from disk, so it holds for whatever is there."""

import ast
import graphlib
import statistics
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]

MODULE_MEDIAN, MODULE_MOST = 150, 400
FUNCTION_P90, FUNCTION_MOST = 35, 60

# A run's last words, and the one loop that must outlive a failed request.
MAY_CATCH_ANYTHING = {"forgellm/jobs/worker.py", "forgellm/inference/owner.py"}
MAY_READ_THE_ENVIRONMENT = {"forgellm/settings.py"}


@cache
def sources(folder):
    """Path relative to the checkout → parsed module."""
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


def nodes(folder, *kinds):
    """("file:line", "file", node) of every node of these kinds."""
    for path, module in sources(folder).items():
        for node in ast.walk(module):
            if isinstance(node, kinds):
                yield f"{path}:{node.lineno}", path, node


def line_counts():
    """Lines of each module; package markers that only hold a docstring do not drag the median down."""
    counts = {
        path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in sources("forgellm")
    }
    return {path: count for path, count in counts.items() if len(sources("forgellm")[path].body) > 1}


def function_lengths():
    functions = nodes("forgellm", ast.FunctionDef, ast.AsyncFunctionDef)
    return {f"{place} {node.name}": node.end_lineno - node.lineno + 1 for place, _, node in functions}


def uses(folder, module, name):
    """The places where `module.name` is written or `name` is imported from `module`."""
    for place, path, node in nodes(folder, ast.Attribute, ast.ImportFrom):
        if isinstance(node, ast.ImportFrom):
            found = node.module == module and any(alias.name == name for alias in node.names)
        else:
            found = node.attr == name and isinstance(node.value, ast.Name) and node.value.id == module
        if found:
            yield place, path


def catches_anything(handler):
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {kind.id for kind in caught if isinstance(kind, ast.Name)}
    return handler.type is None or bool(names & {"Exception", "BaseException"})


def test_no_module_is_too_long():
    assert {path: count for path, count in line_counts().items() if count > MODULE_MOST} == {}


def test_the_usual_module_is_read_in_one_go():
    assert statistics.median(line_counts().values()) <= MODULE_MEDIAN


def test_no_function_is_too_long():
    assert {name: count for name, count in function_lengths().items() if count > FUNCTION_MOST} == {}


def test_nine_functions_in_ten_fit_on_a_screen():
    lengths = sorted(function_lengths().values())
    assert lengths[int(0.9 * (len(lengths) - 1))] <= FUNCTION_P90


def test_no_module_imports_itself_in_a_roundabout_way():
    graph = grimp.build_graph("forgellm", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()


def test_only_the_outermost_loops_catch_everything():
    handlers = nodes("forgellm", ast.ExceptHandler)
    assert [
        place for place, path, node in handlers if catches_anything(node) and path not in MAY_CATCH_ANYTHING
    ] == []


@pytest.mark.parametrize("name", ["environ", "environb", "getenv", "putenv"])
def test_only_the_settings_read_the_environment(name):
    assert [
        place for place, path in uses("forgellm", "os", name) if path not in MAY_READ_THE_ENVIRONMENT
    ] == []


def test_every_module_says_what_it_is_for():
    assert [
        path for path, module in sources("forgellm").items() if module.body and not ast.get_docstring(module)
    ] == []


def test_no_test_sleeps():
    assert [place for place, _ in uses("tests", "time", "sleep")] == []
