"""Every mistake of a user gets one sentence: where, what was got, what is allowed, the cure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simdfl.errors import UserError
from simdfl.scenario import load
from simdfl.scenario.load import MAX_BYTES

ONE_GROUP = "name: x\nadversaries:\n  - name: sign_flip\n    "
TWO_GROUPS = "name: x\nadversaries:\n  - {name: a, "

NOT_YAML = [
    (b"", "x.yaml: the file is empty; write at least a line 'name: …'"),
    (b"# nothing yet\n", "x.yaml: the file is empty; write at least a line 'name: …'"),
    (b"- a\n", "x.yaml:1: the file is no mapping; write lines such as 'name: …'"),
    (b"name: \xff\n", "x.yaml:1: the file is not UTF-8 text; save it as UTF-8"),
    ("name: x".encode("utf-16"), "x.yaml:1: the file is not UTF-8 text; save it as UTF-8"),
    (b"name: x\npeers:\n\tcount: 6\n", "x.yaml:3: a tab indents this line; use spaces"),
    (b"name: x\nseed: 1: 2\n", "x.yaml:2: this is not YAML (mapping values are not allowed here); check"),
    (b"name: x\npeers: {count: 6\n", "x.yaml:3: this is not YAML (expected ',' or '}'"),
    (b"name: x\n---\nname: y\n", "x.yaml:2: a second document begins; keep one scenario per file"),
    (b"name: x\n\x00\n", "x.yaml:2: the character U+0000 is not allowed; remove it"),
    (b'name: "\\UFFFFFFFF"\n', "x.yaml:1: a number or an escape here is too large; correct it"),
    (b'name: "\\uD800"\n', "x.yaml:1 name: half of a surrogate pair is no text; write the character itself"),
    (b"a: &a [1]\nb: *a\n", "x.yaml:1: anchors and aliases (& and *) are not allowed; write the value out"),
    (b"name: !!python/name:os.system x\n", "x.yaml:1 name: the tag 'tag:yaml.org,2002:python/name:os.system'"),
    (b"name: x\nseed: " + b"9" * 6000, "x.yaml:2 seed: 99999999999999999999… is too large; allowed are whole"),
    (b"name: " + b"[" * 5000, "x.yaml:1: values nest deeper than 32 levels; make it flatter"),
    (b"name: x\nseed: 1\nname: y\n", "x.yaml:3 name: the key stands twice, first in line 1; keep one"),
    (b"name: x\n1: 2\n", "x.yaml:2: got '1' as a key; allowed are words"),
    (b"name: x\n? [a]\n: 3\n", "x.yaml:2: got a list or a mapping as a key; allowed are words"),
]

WRONG_VALUES = [
    ("seed: 1\n", "x.yaml:1 name: is missing; add it (Short name of the scenario"),
    ("name: x\nprotocl: 3\n", "x.yaml:2 protocl: unknown key (did you mean 'protocol'?); known keys: name, desc"),
    (
        "name: x\nlearning:\n  model:\n    nme: y\n",
        "x.yaml:4 learning.model.nme: unknown key (did you mean 'name'?)",
    ),
    ("name: a/b\n", "x.yaml:1 name: got 'a/b'; allowed is a text of up to 100 letters, digits, '.', '_' and '-'"),
    ("name: x\ndescription: 3\n", "x.yaml:2 description: got 3; allowed is a text; write it in quotes"),
    ("name: x\nseed: '3'\n", "x.yaml:2 seed: got '3'; allowed is a whole number of at least 0; write it without"),
    ("name: x\nseed: true\n", "x.yaml:2 seed: got true; allowed is a whole number of at least 0"),
    ("name: x\nseed: 1.0\n", "x.yaml:2 seed: got 1.0; allowed is a whole number of at least 0"),
    ("name: x\nseed: 9223372036854775808\n", "allowed is a whole number of at least 0 and at most 2^63 - 1"),
    (
        "name: x\nnetwork: {loss: 1}\n",
        "x.yaml:2 network.loss: got 1; allowed is a number of at least 0 and below 1",
    ),
    ("name: x\nnetwork: {loss: true}\n", "x.yaml:2 network.loss: got true; allowed is a number"),
    (
        "name: x\nnetwork: {jitter: .inf}\n",
        "x.yaml:2 network.jitter: got inf; allowed is a number of at least 0, and",
    ),
    ("name: x\nnetwork: {jitter: .nan}\n", "x.yaml:2 network.jitter: nan is no number to work with; allowed are"),
    ("name: x\nprotocol:\n  clip_radius: big\n", "clip_radius: got 'big'; allowed is a number above 0 or 'inf'"),
    (
        "name: x\nprotocol:\n  clip_radius: 0\n",
        "clip_radius: got 0.0; allowed is a number above 0 or the word inf",
    ),
    (
        "name: x\npeers:\n",
        "x.yaml:2 peers: got nothing; allowed is a mapping (remove the key to get the defaults)",
    ),
    ("name: x\nadversaries: 3\n", "x.yaml:2 adversaries: got 3; allowed is a list"),
    ("name: x\noutput: {messages: yes}\n", "x.yaml:2 output.messages: got 'yes'; allowed is true or false"),
    ("name: x\noutput: {folder: ' '}\n", "x.yaml:2 output.folder: got ' '; allowed is the path of a folder"),
    (
        "name: x\nbeacon:\n  scheme: pvss_ldi\n",
        "x.yaml:3 beacon.scheme: got 'pvss_ldi'; allowed is 'pvss_ldei' or 'pvss_scrape' or 'pvss_schoenmakers' "
        "or 'albatross' or 'commit_reveal' or 'randao' or 'ideal' (did you mean 'pvss_ldei'?)",
    ),
    (
        "name: x\nprotocol:\n  rule:\n    params:\n      radius: [1, .inf]\n",
        "x.yaml:5 protocol.rule.params.radius.1: got inf; allowed are finite numbers",
    ),
    (
        "name: x\nseed: -1\npeers: {count: 2}\n",
        "x.yaml:2 seed: got -1; allowed is a whole number of at least 0 (and 1",
    ),
]

IMPOSSIBLE = [
    (
        ONE_GROUP + "fraction: 0.6\n",
        "x.yaml:4 adversaries.0.fraction: 0.6 leaves no honest majority (b=10 of n=16); use less than 0.5",
    ),
    (
        ONE_GROUP + "fraction: 0.49\n",
        "fraction: 0.49 leaves no honest majority (b=8 of n=16); use at most 0.4375",
    ),
    (
        ONE_GROUP + "fraction: 0.01\n",
        "x.yaml:4 adversaries.0.fraction: 0.01 is no peer at all (b=0 of n=16); use at",
    ),
    (ONE_GROUP + "fraction: -1\n", "adversaries.0.fraction: got -1; allowed is a number above 0 and below 0.5"),
    (
        ONE_GROUP + "count: 8\n",
        "x.yaml:4 adversaries.0.count: 8 leaves no honest majority (b=8 of n=16); use at most 7",
    ),
    (ONE_GROUP + "peers: [1, 16]\n", "x.yaml:4 adversaries.0.peers.1: peer 16 does not exist; use 0 to 15"),
    (ONE_GROUP + "peers: [3, 3]\n", "x.yaml:4 adversaries.0.peers.1: peer 3 stands twice; keep one"),
    (ONE_GROUP + "peers: []\n", "x.yaml:4 adversaries.0.peers: the list is empty; name at least one peer"),
    (
        ONE_GROUP + "start_step: 3\n",
        "x.yaml:3 adversaries.0: needs exactly one of fraction, count and peers, got none",
    ),
    (TWO_GROUPS + "count: 1, fraction: 0.1}\n", "got fraction and count; set all but one to null"),
    (
        TWO_GROUPS + "count: 4}\n  - {name: b, count: 4}\n",
        "x.yaml:2 adversaries: the sum of all groups leaves no honest",
    ),
    (
        TWO_GROUPS + "peers: [1]}\n  - {name: b, peers: [1]}\n",
        "x.yaml:4 adversaries.1.peers: peer 1 stands in another",
    ),
    (
        TWO_GROUPS + "count: 1, start_step: 4, stop_step: 4}\n",
        "it starts in step 4 and must stop later, got 4",
    ),
    (
        "name: x\npeers: {count: 4}\n",
        "x.yaml:2 peers.count: 2 validators and as many targets need more than 4 peers",
    ),
    (
        "name: x\nprotocol:\n  validators: 8\n",
        "x.yaml:3 protocol.validators: 8 validators and as many targets need",
    ),
    (
        "name: x\ncontracts:\n  minimum_peers: 17\n",
        "x.yaml:3 contracts.minimum_peers: 16 peers are fewer than the minimum",
    ),
    (
        "name: x\ntopology:\n  params:\n    degree: 16\n",
        "x.yaml:4 topology.params.degree: 16 peers cannot have 16 neigh",
    ),
    (
        "name: x\ntopology:\n  params:\n    degree: six\n",
        "topology.params.degree: got 'six'; allowed is a whole number",
    ),
    (
        "name: x\npeers: {count: 7}\ntopology: {params: {degree: 3}}\n",
        "x.yaml:3 topology.params.degree: 7 peers with 3",
    ),
]

IN_BASELINES = [
    (
        "name: x\nbaselines: {main: {}}\n",
        "x.yaml:2 baselines.main: this name is kept for the scenario itself; choose",
    ),
    (
        "name: x\nbaselines: {a b: {}}\n",
        "x.yaml:2 baselines.a b: got 'a b' as a name; allowed is a text of up to 100",
    ),
    ("name: x\nbaselines:\n  a:\n", "x.yaml:3 baselines.a: got nothing; allowed is a mapping"),
    (
        "name: x\nbaselines:\n  a:\n    protocol.stps: 3\n",
        "x.yaml:4 baselines.a.protocol.stps: unknown key (did you mean",
    ),
    (
        "name: x\nbaselines:\n  a:\n    peers: {count: 3}\n",
        "x.yaml:4 baselines.a.peers.count: got 3; allowed is a whole",
    ),
    (
        "name: x\nbaselines:\n  a:\n    protocol.validators: 8\n",
        "x.yaml:4 baselines.a.protocol.validators: 8 valid",
    ),
    (
        "name: x\nbaselines:\n  a:\n    baselines: {}\n",
        "x.yaml:4 baselines.a.baselines: a baseline has no baselines",
    ),
]


@pytest.fixture
def complaint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Return a function that loads a text as ``x.yaml`` and gives back the sentence of its mistake."""

    def ask(text: str | bytes, *overrides: str) -> str:
        monkeypatch.chdir(tmp_path)
        Path("x.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(UserError) as caught:
            load("x.yaml", overrides)
        sentence = str(caught.value)
        assert "\n" not in sentence
        assert caught.value.__cause__ is None
        return sentence

    return ask


@pytest.mark.parametrize("text, sentence", NOT_YAML)
def test_text_that_cannot_be_read(complaint, text, sentence):
    assert complaint(text).startswith(sentence)


@pytest.mark.parametrize("text, sentence", WRONG_VALUES + IMPOSSIBLE + IN_BASELINES)
def test_value_that_cannot_be(complaint, text, sentence):
    said = complaint(text)
    assert sentence in said
    assert said.startswith("x.yaml:")


@pytest.mark.parametrize(
    "override, sentence",
    [
        ("seed", "--set seed: allowed is key.path=value, for instance protocol.steps=50"),
        ("=3", "--set =3: allowed is key.path=value"),
        ("a..b=3", "--set a..b=3: allowed is key.path=value"),
        ("seed=[", "--set seed: this is not YAML"),
        ("seed=*a", "--set seed: anchors and aliases (& and *) are not allowed"),
        ("seed=many", "--set seed: got 'many'; allowed is a whole number of at least 0"),
        ("protocl.steps=3", "--set protocl: unknown key (did you mean 'protocol'?)"),
        ("protocol={steps: 0}", "--set protocol.steps: got 0; allowed is a whole number of at least 1"),
        ("name.x=1", "--set name.x: name is 'x' and has no part 'x'"),
        ("adversaries.2.count=1", "--set adversaries.2.count: adversaries is a list of 1, got '2'; use an index"),
        ("adversaries.all.count=1", "--set adversaries.all.count: adversaries is a list of 1, got 'all'; use"),
        ("adversaries.0.count=8", "--set adversaries.0.count: 8 leaves no honest majority (b=8 of n=16); use at"),
        ("baselines.a.seed=-1", "--set baselines.a.seed: got -1; allowed is a whole number of at least 0"),
    ],
)
def test_override_that_cannot_be(complaint, override, sentence):
    assert complaint(ONE_GROUP + "count: 2\n", override).startswith(sentence)


@pytest.mark.parametrize("direct", [{"seed": -1}, {"out": ""}, {"protocol": ""}])
def test_options_of_their_own_are_named(tmp_path, direct):
    path = tmp_path / "x.yaml"
    path.write_text("name: x\n")
    with pytest.raises(UserError, match=rf"^--{next(iter(direct))}: got (-1|''); allowed is"):
        load(path, **direct)


def test_files_that_cannot_be_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("quick.yaml").write_text("name: x\n")
    Path("large.yaml").write_text("#" * (MAX_BYTES + 1))
    expected = {
        "quik.yaml": r"^quik.yaml: there is no such file \(did you mean 'quick.yaml'\?\); give the path",
        ".": r"^\.: this is a folder; give a scenario file in it",
        "quick.yaml/x": r"^quick.yaml/x: the file cannot be read \(Not a directory\)",
        "a\0b": r"the file cannot be read \(embedded null byte\)",
        "large.yaml": r"^large.yaml: the file is larger than 1_000_000 bytes; a scenario is a short text",
    }
    for path, sentence in expected.items():
        with pytest.raises(UserError, match=sentence):
            load(path)
