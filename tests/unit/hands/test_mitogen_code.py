"""Mitogen gets code that was compiled before, and it is the code of the very source that it has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ansible_mitogen.module_finder
import mitogen
import mitogen.imports
import mitogen.parent
from ansible.module_utils import basic

from secondsite.hands.mitogen_code import KNOWN, ON_HOSTS, Codes

STORY = """
import sys
from pathlib import Path
import mitogen.utils, mitogen.minify
from secondsite.hands import mitogen_code

mitogen_code.ON_HOSTS = Path(sys.argv[1])
assert mitogen_code.install()

def story(router):
    host = router.local(python_path=sys.executable)
    print(host.call(mitogen.minify.minimize_source, "x = 1").strip())

if __name__ == "__main__":
    mitogen.utils.run_with_router(story)
"""


def test_the_insides_of_the_mitogen_that_is_installed_are_known() -> None:
    assert tuple(mitogen.__version__) == KNOWN, "look whether mitogen_code still fits, then make this release known"


def test_code_that_python_keeps_imports_what_the_source_imports() -> None:
    for path in (Path(mitogen.parent.__file__), Path(basic.__file__), Path(__file__)):
        source = path.read_bytes()
        anew = compile(source, str(path), "exec")
        for name in (str(path), "no.such.module", "ansible.module_utils.basic"):
            code = Codes().compile(source, name, "exec")
            assert list(mitogen.imports.codeobj_imports(code)) == list(mitogen.imports.codeobj_imports(anew))


def test_a_source_that_is_not_what_the_file_holds_is_compiled() -> None:
    path = Path(basic.__file__)
    changed = b"import changed_by_a_test\n"
    for name in (str(path), "ansible.module_utils.basic"):
        code = Codes().compile(changed, name, "exec")
        assert list(mitogen.imports.codeobj_imports(code)) == [(0, "changed_by_a_test", ())]


def test_a_module_is_found_to_need_the_same_as_without() -> None:
    module = str(Path(basic.__file__).parents[1] / "modules" / "command.py")
    search = (str(Path(basic.__file__).parent),)

    def found() -> object:
        return ansible_mitogen.module_finder.scan("ansible_module_command", module, search)

    before = found()
    vars(ansible_mitogen.module_finder)["compile"] = Codes().compile
    try:
        assert found() == before
    finally:
        del vars(ansible_mitogen.module_finder)["compile"]


def test_a_host_keeps_the_code_of_the_modules_it_is_sent(tmp_path: Path) -> None:
    folder, on_hosts, script = tmp_path / "code", tmp_path / "on_hosts.py", tmp_path / "story.py"
    text = ON_HOSTS.read_text(encoding="utf-8")
    on_hosts.write_text(text.replace("/var/cache/secondsite-code", str(folder)), encoding="utf-8")
    script.write_text(STORY, encoding="utf-8")
    kept = []
    for _ in range(2):
        argv = [sys.executable, str(script), str(on_hosts)]
        ended = subprocess.run(argv, check=False, capture_output=True, timeout=60, text=True, env={"PYTHONPATH": "src"})
        assert (ended.returncode, ended.stdout.strip()) == (0, "x = 1"), ended.stderr
        kept.append({path.name: path.stat().st_ino for path in folder.iterdir()})
    assert kept[0] == kept[1] != {}
