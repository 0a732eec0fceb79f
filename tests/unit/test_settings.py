from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from ringfence.policy.verdict import Level
from ringfence.settings import Settings, SettingsError, load_settings

EVERYTHING = """\
policy-pack = "../guardrails"
profiles = ["private-network"]

[rules.ST02]
level = "advisory"

[rules.ST05]
maximum = 30
names = ["a", "b"]

[stack-references."org/network/prod"]
vpc_id = "vpc-123"

[invokes."aws:ec2/getAmi:getAmi"]
id = "ami-123"

[[exempt]]
rule = "ST05"
resource = "azure-native:storage:StorageAccount::host*"
reason = "moves in May"
owner = "storage team"
expires = 2027-01-31
property = "networkRuleSet"
"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_sets_nothing(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == Settings()


@pytest.mark.parametrize("name", ["ringfence.toml", "pyproject.toml"])
def test_every_setting(tmp_path: Path, name: str) -> None:
    text = EVERYTHING
    if name == "pyproject.toml":
        text = "[tool.ringfence]\n" + text.replace("[[", "[[tool.ringfence.").replace("\n[", "\n[tool.ringfence.")
        text = text.replace("[tool.ringfence.[tool.ringfence.", "[[tool.ringfence.")
    file = write(tmp_path / "stack" / name, text)

    settings = load_settings(tmp_path / "stack")

    assert settings.policy_pack == (str(tmp_path / "guardrails"),)
    assert settings.profiles == ("private-network",)
    assert {key: entry.level for key, entry in settings.rules.items()} == {"ST02": Level.ADVISORY, "ST05": None}
    assert settings.rules["ST05"].parameters == {"maximum": 30, "names": ["a", "b"]}
    assert settings.stack_references == {"org/network/prod": {"vpc_id": "vpc-123"}}
    assert settings.invokes == {"aws:ec2/getAmi:getAmi": {"id": "ami-123"}}
    [exemption] = settings.exempt
    assert (exemption.rule, exemption.resource) == ("ST05", "azure-native:storage:StorageAccount::host*")
    assert (exemption.reason, exemption.owner) == ("moves in May", "storage team")
    assert exemption.expires == datetime.date(2027, 1, 31)
    assert exemption.path == "networkRuleSet"
    assert settings.files == (str(file),)
    assert settings.rule_files == {"ST02": str(file), "ST05": str(file)}


def test_an_exemption_without_a_resource_or_an_end(tmp_path: Path) -> None:
    write(tmp_path / "ringfence.toml", '[[exempt]]\nrule = "ST05"\nreason = "r"\nowner = "o"\n')

    [exemption] = load_settings(tmp_path).exempt

    assert (exemption.resource, exemption.path, exemption.expires) == ("*", "*", None)


def test_an_expiry_in_quotes_is_a_date(tmp_path: Path) -> None:
    text = '[[exempt]]\nrule = "ST05"\nreason = "r"\nowner = "o"\nexpires = "2027-01-31"\n'
    write(tmp_path / "ringfence.toml", text)

    assert load_settings(tmp_path).exempt[0].expires == datetime.date(2027, 1, 31)


def test_packs_are_relative_to_their_file(tmp_path: Path) -> None:
    write(tmp_path / "ringfence.toml", 'policy-pack = ["packs/a", "ringfence", "/etc/packs/b"]\n')
    (tmp_path / "deep" / "stack").mkdir(parents=True)

    settings = load_settings(tmp_path / "deep" / "stack")

    assert settings.policy_pack == (str(tmp_path / "packs" / "a"), "ringfence", "/etc/packs/b")


def test_nearer_files_win(tmp_path: Path) -> None:
    far = """\
        policy-pack = "far"
        profiles = ["a"]
        [rules.ST01]
        level = "mandatory"
        [rules.ST02]
        level = "mandatory"
        minimum = 1
        [stack-references.s]
        x = 1
        y = 1
        [[exempt]]
        rule = "far"
        reason = "r"
        owner = "o"
    """
    near = """\
        profiles = ["b"]
        [rules.ST02]
        minimum = 2
        maximum = 3
        [stack-references.s]
        y = 2
        [[exempt]]
        rule = "near"
        reason = "r"
        owner = "o"
    """
    outer = write(tmp_path / "ringfence.toml", far)
    inner = write(tmp_path / "stack" / "ringfence.toml", near)

    settings = load_settings(tmp_path / "stack")

    assert settings.policy_pack == (str(tmp_path / "far"),)
    assert settings.profiles == ("b",)
    assert settings.rules["ST01"].level is Level.MANDATORY
    assert settings.rules["ST02"].level is Level.MANDATORY
    assert settings.rules["ST02"].parameters == {"minimum": 2, "maximum": 3}
    assert settings.stack_references == {"s": {"x": 1, "y": 2}}
    assert [exemption.rule for exemption in settings.exempt] == ["near", "far"]
    assert settings.files == (str(inner), str(outer))
    assert settings.rule_files == {"ST01": str(outer), "ST02": str(inner)}
    assert load_settings(tmp_path).profiles == ("a",)


def test_in_one_folder_ringfence_toml_wins(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[project]\nname = "x"\n[tool.ringfence]\nprofiles = ["a"]\npolicy-pack = "p"\n')
    write(tmp_path / "ringfence.toml", 'profiles = ["b"]\n')

    settings = load_settings(tmp_path)

    assert (settings.profiles, settings.policy_pack) == (("b",), (str(tmp_path / "p"),))


def test_a_pyproject_without_our_table_sets_nothing(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "tool = 5\n")
    write(tmp_path / "inner" / "pyproject.toml", "[tool.other]\nx = 1\n")

    assert load_settings(tmp_path / "inner").files == ()


KNOWN = "expected one of policy-pack, profiles, rules, stack-references, invokes, exempt"
EXEMPTION = '[[exempt]]\nrule = "ST05"\nreason = "r"\nowner = "o"\n'
MISTAKES = [
    ('polcy-pack = "a"', f"polcy-pack: there is no such setting; {KNOWN}"),
    ('policy_pack = "a"', f"policy_pack: there is no such setting; {KNOWN}"),
    ('files = ["a"]', f"files: there is no such setting; {KNOWN}"),
    ("policy-pack = 5", "policy-pack: expected a folder or a list of folders, found 5"),
    ("policy-pack = [true]", "policy-pack.0: expected text, found true"),
    ('profiles = "private-network"', 'profiles: expected a list, found "private-network"'),
    ("profiles = [1]", "profiles.0: expected text, found 1"),
    ("rules = [1]", "rules: expected a table, found a list"),
    ('[rules]\nST02 = "advisory"', 'rules.ST02: expected a table, found "advisory"'),
    (
        '[rules.ST02]\nlevel = "warning"',
        'rules.ST02.level: expected one of advisory, mandatory, disabled, found "warning"',
    ),
    ("[rules.ST02]\nlevel = 1", "rules.ST02.level: expected one of advisory, mandatory, disabled, found 1"),
    ('[stack-references]\ns = "hunter2"', "stack-references.s: expected a table"),
    ('[invokes]\nt = "hunter2"', "invokes.t: expected a table"),
    ('exempt = "ST05"', 'exempt: expected a list, found "ST05"'),
    ('exempt = ["ST05"]', 'exempt.0: expected a table, found "ST05"'),
    ('[[exempt]]\nrule = "ST05"\nowner = "o"', "exempt.0.reason: is missing; expected text"),
    ('[[exempt]]\nrule = "ST05"\nreason = "r"', "exempt.0.owner: is missing; expected text"),
    ('[[exempt]]\nreason = "r"\nowner = "o"', "exempt.0.rule: is missing; expected text"),
    (
        '[[exempt]]\nrule = "ST05"\nreason = ""\nowner = "o"',
        'exempt.0.reason: expected text that is not empty, found ""',
    ),
    (EXEMPTION + 'resource = ""', 'exempt.0.resource: expected text that is not empty, found ""'),
    (
        EXEMPTION + 'resources = "x"',
        "exempt.0.resources: there is no such setting; expected one of rule, resource, reason, owner, expires, "
        "property",
    ),
    (EXEMPTION + 'expires = "soon"', 'exempt.0.expires: expected a date such as 2027-01-31, found "soon"'),
    (EXEMPTION + "expires = 20270131", "exempt.0.expires: expected a date such as 2027-01-31, found 20270131"),
    (
        EXEMPTION + "expires = 2027-01-31T10:00:00",
        'exempt.0.expires: expected a date such as 2027-01-31, found "2027-01-31 10:00:00"',
    ),
    (f'profiles = "{"x" * 200}"', f'profiles: expected a list, found "{"x" * 79}…'),
    ("a = [", "is not valid TOML: Invalid value (at end of document)"),
    ("a = 1\na = 2\n", "is not valid TOML: Cannot overwrite a value (at line 2, column 6)"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES, ids=[message[:50] for _, message in MISTAKES])
@pytest.mark.parametrize("folder", [".", "stack"])
def test_a_mistake_names_file_key_and_what_was_expected(tmp_path: Path, folder: str, text: str, message: str) -> None:
    file = write(tmp_path / "ringfence.toml", text)
    (tmp_path / "stack").mkdir()

    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path / folder)
    assert str(caught.value) == f"{file}: {message}"


def test_a_mistake_in_pyproject(tmp_path: Path) -> None:
    file = write(tmp_path / "pyproject.toml", "[tool]\nringfence = 5\n")

    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path)
    assert str(caught.value) == f"{file}: tool.ringfence: expected a table, found 5"


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ringfence.toml"
    file.write_bytes(b'profiles = ["gr\xf6\xdfe"]\n')
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path)
    assert str(caught.value) == f"{file}: is not UTF-8 text"

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path)
    assert str(caught.value) == f"{file}: cannot be read: Permission denied"
