"""An estate is read strictly: every wrong word is named with its file, its line and what to write instead."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondsite.cli.main import main
from secondsite.errors import ConfigError, Problem
from secondsite.estate.load import SCHEMAS, load_estate
from secondsite.estate.model import HostName, SiteName, WorkloadName
from secondsite.estate.schema.load import duration

LAB = Path(__file__).resolve().parents[3] / "inventories" / "small"
FILES = ("estate.yml", "hosts.yml")


def write_estate(directory: Path, **changes: tuple[str, str]) -> Path:
    """Copy the lab's estate; ``estate`` and ``hosts`` name one text in that file and what stands there instead."""
    for file in FILES:
        text = (LAB / file).read_text(encoding="utf-8")
        if file.removesuffix(".yml") in changes:
            old, new = changes[file.removesuffix(".yml")]
            assert old in text
            text = text.replace(old, new, 1)
        (directory / file).write_text(text, encoding="utf-8")
    return directory


def problems_of(directory: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load_estate(directory)
    assert caught.value.exit_code == 2
    return caught.value.problems


def lines_of(file: Path, text: str) -> list[int]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines, start=1) if text in line]


def test_the_lab_estate_is_read_into_nouns() -> None:
    estate = load_estate(LAB)

    assert len(estate.hosts) == 9
    billing = estate.workloads[WorkloadName("billing")]
    assert billing.objectives.rto == dt.timedelta(seconds=60)
    assert billing.objectives.rpo == dt.timedelta(0)
    assert (billing.settings["scope"], billing.settings["port"]) == ("billing", "5432")
    assert estate.workloads[WorkloadName("control")].is_control_arm
    assert estate.detection.silence == dt.timedelta(milliseconds=1500)
    assert [host.name for host in estate.hosts_at(SiteName("dc2"))] == ["web-dc2", "db-dc2"]
    assert estate.hosts[HostName("vault")].groups == ("vault", "etcd", "standby", "nameserver", "erasures")
    assert estate.quorum is not None
    assert {estate.hosts[name].site for name in estate.quorum.members} == {"dc1", "dc2", "vault"}


def test_the_digest_changes_with_one_byte_of_either_file(tmp_path: Path) -> None:
    before = load_estate(write_estate(tmp_path)).digest
    digests = {before}
    for file in FILES:
        write_estate(tmp_path)
        with (tmp_path / file).open("a", encoding="utf-8") as stream:
            stream.write("#")
        digests.add(load_estate(tmp_path).digest)

    assert len(digests) == 3
    assert load_estate(write_estate(tmp_path)).digest == before


# what was there, what stands there instead, what the message says, and its hint
ESTATE_CASES = [
    pytest.param("rto: 60s, rpo: 0s", "rto: 4:00, rpo: 0s", "base 60", "unit", id="base-60 duration"),
    pytest.param("rto: 60s, rpo: 0s", "rto: 60, rpo: 0s", "60, which is not a duration", "unit", id="no unit"),
    pytest.param("rto: 60s, rpo: 0s", "rto: 1m30s, rpo: 0s", "not a duration", "unit", id="two units"),
    pytest.param("rto: 60s, rpo: 0s", 'rto: "4:00", rpo: 0s', "not a duration", "unit", id="quoted base 60"),
    pytest.param("rto: 60s, rpo: 0s", "rto: 25h, rpo: 0s", "need 0 < rto <= mtpd", "survives", id="rto past mtpd"),
    pytest.param("rto: 60s, rpo: 0s", "rto: 0s, rpo: 0s", "need 0 < rto <= mtpd", "survives", id="rto of nothing"),
    pytest.param("name: small", "name: no", "true or false", "quote it", id="no"),
    pytest.param("name: small", "name: 'no way'", "should match", "small letter", id="name with a blank"),
    pytest.param("name: small", "name: '-oProxyCommand=x'", "begins with a dash", "begin it", id="option"),
    pytest.param("name: small", "name: '$(touch x)'", "'$('", "write the value itself", id="command substitution"),
    pytest.param("name: small", "name: '`id`'", "'`'", "write the value itself", id="backticks"),
    pytest.param("name: small", "name: '{{ lookup(1) }}'", "'{{'", "write the value itself", id="template"),
    pytest.param("name: small", 'name: "lab\\nevil"', "line break", "one plain line", id="newline"),
    pytest.param("name: small", 'name: "lab\\e[2J"', "invisible character", "one plain line", id="terminal escape"),
    pytest.param("name: small", 'name: "lab\\u202E"', "invisible character", "one plain line", id="text direction"),
    pytest.param("name: small", "name: &a lab", "anchor &a", "write values out", id="anchor"),
    pytest.param("name: small", "name: *a", "alias *a", "write the value out", id="alias"),
    pytest.param("name: small", "name: !!str lab", "has the tag", "leave the tag out", id="tag"),
    pytest.param("name: small", "name: !!python/name:os.system lab", "has the tag", "leave the tag out", id="code tag"),
    pytest.param("name: small", "name: lab\nname: lab", "second time", "line 3", id="duplicate key"),
    pytest.param("name: small", "name: lab\n<<: {a: b}", "merge key", "write the values out", id="merge key"),
    pytest.param("name: small", "name: lab\nnames: lab", "not a known key", "schema", id="unknown key"),
    pytest.param("name: small", "name: 0o17", "different numbers", "quote it", id="octal"),
    pytest.param("name: small", "name: 2026-11-21", "date", "quote it", id="date"),
    pytest.param("name: small", "name: ~", "nothing at all", "leave the key out", id="null"),
    pytest.param("kind: datacenter", "kind: datacentre", "should be 'datacenter'", "", id="unknown kind"),
    pytest.param("home: dc1", "home: dc7", "'dc7', where it has no member", "dc1, dc2", id="unknown home"),
    pytest.param("dc2: db-dc2}", "dc2: db-dc9}", "host 'db-dc9', which is not declared", "db-dc2", id="unknown host"),
    pytest.param("dc2: db-dc2}", "dc2: web-dc1}", "stands at dc1", "hosts.yml", id="member at another site"),
    pytest.param("[billing, control]", "[billing, moon]", "workload 'moon'", "billing", id="unknown workload"),
    pytest.param("[vault, console, customers]", "[vault, web-dc2]", "inside the datacenter", "own loss", id="vantage"),
    pytest.param("1500ms", "10ms", "a blink", "500ms to 5m", id="hasty detection"),
    pytest.param("1500ms", "2h", "a long outage", "500ms to 5m", id="slow detection"),
    pytest.param("[db-dc1, db-dc2, vault]", "[db-dc1, web-dc1, vault]", "take the quorum away", "three", id="quorum"),
    pytest.param("cut-power, cut-link,", "cut-throat, cut-link,", "which is no injection", "cut-power", id="injection"),
    pytest.param("target: dc2}", "target: dc1}", "is the origin", "", id="order to its own origin"),
    pytest.param("rpo: 1h", "rpo: 0s", "whose loss must be allowed to show", "1h", id="control arm without loss"),
    pytest.param("ttl: 1s", "ttl: 2m", "longer than the shortest rto", "lost site", id="ttl past rto"),
    pytest.param("adapter: patroni", "adapter: prayer", "adapter 'prayer'", "patroni", id="unknown adapter"),
    pytest.param("zone: secondsite.test", "zone: other.test", "not inside the zone", "", id="name outside its zone"),
    pytest.param("site: dc2}", "site: dc8}", "site 'dc8', which is not declared", "dc2", id="link to nowhere"),
    pytest.param("site: dc2, approves", "site: dc5, approves", "site 'dc5'", "dc2", id="person at no site"),
    pytest.param('"+49 30 23125 001"', '"call me"', "should match", "", id="no phone number"),
    pytest.param("C01:", "X01:", "should match", "", id="commitment id"),
    pytest.param(
        "is_control_arm: true", "is_control_arm: true\n    depends_on: [control]", "in a circle: control -> control",
        "what starts first", id="dependency circle",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "what", "hint"), ESTATE_CASES)
def test_one_wrong_word_in_the_estate_is_named_with_its_line_and_a_hint(
    old: str, new: str, what: str, hint: str, tmp_path: Path
) -> None:
    problems = problems_of(write_estate(tmp_path, estate=(old, new)))

    (named,) = [problem for problem in problems if what in problem.what]
    assert named.file == str(tmp_path / "estate.yml")
    near = lines_of(LAB / "estate.yml", old)[0]
    assert named.line is not None
    assert near - 2 <= named.line <= near + 2
    assert hint in named.hint


HOST_CASES = [
    pytest.param("web-dc1:", "-oProxyCommand=x:", "no name for a host", "small letter", id="option as host name"),
    pytest.param("web-dc1:", '"web\\ndc1":', "line break", "one plain line", id="newline in a host name"),
    pytest.param("web-dc1:", "'{{ 7*7 }}':", "'{{'", "value itself", id="template as host name"),
    pytest.param("web-dc1:", "Web_DC1:", "no name for a host", "small letter", id="capitals"),
    pytest.param("198.19.0.21", "198.19.0.22", "198.19.0.22, and so has", "unique", id="two hosts, one address"),
    pytest.param(
        "198.18.1.10", "198.18.2.77", "outside its site's network", "site right", id="address of another site"
    ),
    pytest.param("198.19.0.21", "300.1.1.1", "300", "", id="no address"),
    pytest.param("site: dc1", "site: dc9", "site 'dc9', which is not declared", "dc1", id="unknown site"),
    pytest.param("site: dc1", "sight: dc1", "is missing", "", id="no site"),
    pytest.param("db-dc1: {}", "db-dc1: {site: dc2}", "differs from another place", "keep one", id="two sites"),
    pytest.param(
        "ansible_user: root", "ansible_ssh_common_args: x", "could run a program", "ansible_host", id="ssh arguments"
    ),
    pytest.param("ansible_user: root", "ansible_connection: local", "could run a program", "ansible_user", id="local"),
    pytest.param("    web:", "    web: &w", "anchor &w", "write values out", id="anchor"),
    pytest.param("    web:", "    web:\n      hots: {}", "not a part of a group", "hosts, children or vars", id="typo"),
]


@pytest.mark.parametrize(("old", "new", "what", "hint"), HOST_CASES)
def test_one_wrong_word_in_the_inventory_is_named_with_its_line_and_a_hint(
    old: str, new: str, what: str, hint: str, tmp_path: Path
) -> None:
    problems = problems_of(write_estate(tmp_path, hosts=(old, new)))

    named = [problem for problem in problems if what in problem.what]
    assert named
    assert all(problem.file == str(tmp_path / "hosts.yml") for problem in named)
    places = [*lines_of(tmp_path / "hosts.yml", new.splitlines()[0]), *lines_of(LAB / "hosts.yml", old)]
    assert any(problem.line and abs(problem.line - place) <= 4 for problem in named for place in places)
    assert hint in named[0].hint


def test_everything_wrong_in_both_files_is_reported_at_once(tmp_path: Path) -> None:
    write_estate(tmp_path, hosts=("site: dc2", "site: dc9"))
    estate = tmp_path / "estate.yml"
    text = estate.read_text(encoding="utf-8")
    for old, new in [
        ("rto: 60s, rpo: 0s", "rto: 4:00, rpo: 0s"),
        ("adapter: etcd", "adapter: zk"),
        ("[vault, console, customers]", "[vault, web-dc1]"),
        ("1500ms", "3ms"),
        ("name: a-dc1", "nam: a-dc1"),
        ("name: small", "name: &x lab"),
    ]:
        text = text.replace(old, new, 1)
    estate.write_text(text, encoding="utf-8")

    pointers = {problem.pointer for problem in problems_of(tmp_path)}

    assert pointers >= {
        "/workloads/billing/objectives/rto",
        "/quorum/adapter",
        "/detection/vantage/1",
        "/detection/silence",
        "/links/0/nam",
        "/links/0/name",
        "/name",
        "/all/children/web/hosts/web-dc2",
    }
    assert len(pointers) <= 10


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"- a\n", "is no mapping", id="list"),
        pytest.param(b"a: [1\n", "is not YAML", id="broken"),
        pytest.param(b"a: \xff\n", "is not UTF-8", id="not UTF-8"),
        pytest.param(b"a: b\x00\n", "is not YAML", id="NUL"),
        pytest.param(b"a: 1\n---\nb: 2\n", "second document", id="two documents"),
        pytest.param(b"%YAML 1.1\n---\na: 1\n", "directive", id="directive"),
        pytest.param(b"a: " + b"[" * 40 + b"]" * 40, "nested deeper", id="deep"),
        pytest.param(b"a: [" + b"1," * 30_000 + b"]", "20,000 values", id="many values"),
        pytest.param(b"# " + b"x" * 300_000, "larger than 256 KiB", id="large"),
        pytest.param(b"? [a]\n: b\n", "key that is not a word", id="list as key"),
    ],
)
def test_a_file_that_is_no_estate_at_all_is_refused(content: bytes, what: str, tmp_path: Path) -> None:
    write_estate(tmp_path)
    (tmp_path / "estate.yml").write_bytes(content)

    assert any(what in problem.what for problem in problems_of(tmp_path))


def test_a_directory_without_an_estate_is_refused(tmp_path: Path) -> None:
    assert {problem.what for problem in problems_of(tmp_path / "nowhere")} == {"is not there, or is not a regular file"}


@given(st.binary(max_size=400))
@settings(max_examples=60, deadline=None)
def test_no_bytes_whatever_end_in_anything_but_a_list_of_problems(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        for file in FILES:
            (directory / file).write_bytes(content)
        assert {Path(problem.file).name for problem in problems_of(directory)} == set(FILES)


KEYS = st.sampled_from(["name", "sites", "links", "workloads", "quorum", "hosts", "all", "children", "dc1", "x"])
TREES: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["60s", "dc1", "db-dc1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


@given(tree=st.dictionaries(KEYS, TREES, max_size=6))
@settings(max_examples=60, deadline=None)
def test_no_well_formed_tree_that_is_no_estate_passes_or_breaks_the_reader(tree: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        for file in FILES:
            (directory / file).write_text(json.dumps(tree), encoding="utf-8")
        assert "estate.yml" in {Path(problem.file).name for problem in problems_of(directory)}


@given(number=st.integers(min_value=1, max_value=999_999), unit=st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_a_duration_means_its_number_times_its_unit(number: int, unit: str) -> None:
    seconds = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[unit]

    assert duration(f"{number}{unit}").total_seconds() == pytest.approx(number * seconds)


@given(st.text(max_size=12).filter(lambda text: not text[:1].isdigit()))
def test_a_word_without_a_number_is_no_duration(word: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        duration(word)


def test_the_schema_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "estate"]) == 0

    assert json.loads(capsys.readouterr().out) == SCHEMAS["estate"]()
