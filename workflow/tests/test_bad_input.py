"""Every mistake in a configuration is one sentence, whatever the mistake; nothing in one ever reaches a shell."""

import copy
import re
import shlex

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envs.scenarios import SCENARIOS
from workflow import artefacts
from workflow.suite import Suite, load, text
from workflow.tests.test_suite import PAPER, merged

SCENARIO_NAMES = ", ".join(SCENARIOS)
ALGORITHM_NAMES = "mafocops, macpo, mappo_l, happo, mappo"
KEYS = (
    "name, note, steps, seeds, scenarios, algorithms, settings, environment, grids, efficiency, legacy, "
    "time_limit, nu_reading, kl_reading, fall, evaluation, videos, benchmark, extra_algorithms"
)
NAME = "use letters, digits, _ and -"
WORDS = "use letters, digits and any of _ . , : + @ % = / -"
ITSELF: dict = {}
ITSELF["all"] = ITSELF


def setting(value: object, name: str = "nu_update") -> dict:
    """Return a configuration with one setting of MAFOCOPS."""
    return {"settings": {"mafocops": {"all": {name: value}}}}


# What is laid over the paper's configuration, and the sentence it is refused with.
MISTAKES = [
    ({"stepz": 3}, f"unknown key 'stepz' in the configuration: choose from {KEYS}"),
    ({"Steps": 3}, f"unknown key 'Steps' in the configuration: choose from {KEYS}"),
    ({1: 3}, f"the key 1 in the configuration is not a name: {NAME}"),
    ({None: 3}, f"the key None in the configuration is not a name: {NAME}"),
    ({"$(reboot)": 3}, f"the key '$(reboot)' in the configuration is not a name: {NAME}"),
    ({"efficiency": {"a\nb": 3}}, f"the key 'a\\nb' in efficiency is not a name: {NAME}"),
    (
        {"efficiency": {"runs": 3}},
        "unknown key 'runs' in efficiency: choose from scenarios, algorithms, variants, repeats, steps",
    ),
    ({"name": 7}, "name=7 is not a string"),
    ({"name": ""}, f"name='' is not valid: {NAME}"),
    ({"name": "../x"}, f"name='../x' is not valid: {NAME}"),
    ({"name": "a b"}, f"name='a b' is not valid: {NAME}"),
    ({"name": "x; rm -rf ~"}, f"name='x; rm -rf ~' is not valid: {NAME}"),
    ({"name": "$(reboot)"}, f"name='$(reboot)' is not valid: {NAME}"),
    ({"name": "`reboot`"}, f"name='`reboot`' is not valid: {NAME}"),
    ({"name": "x\n"}, f"name='x\\n' is not valid: {NAME}"),
    ({"name": "it's"}, f'name="it\'s" is not valid: {NAME}'),
    ({"name": "--force"}, f"name='--force' is not valid: {NAME}"),
    ({"note": "a\nb"}, "note='a\\nb' is not valid: write it on one line, without control characters"),
    ({"note": "a\0b"}, "note='a\\x00b' is not valid: write it on one line, without control characters"),
    ({"note": ["a"]}, "note=['a'] is not a string"),
    ({"steps": "many"}, "steps='many' is not a whole number"),
    ({"steps": 1.5}, "steps=1.5 is not a whole number"),
    ({"steps": True}, "steps=True is not a whole number"),
    ({"steps": -1}, "steps=-1 is out of range: it must be at least 1"),
    ({"steps": 10**400}, f"steps={10**400} is out of range: it must be at most 1000000000000"),
    ({"steps": float("inf")}, "steps=inf is not a whole number"),
    ({"seeds": 3}, "seeds=3 is not a list"),
    ({"seeds": []}, "seeds is an empty list: it needs at least one entry"),
    ({"seeds": [1, "1"]}, "seeds=[1, 1] names something twice"),
    ({"seeds": [-1]}, "seeds.0=-1 is out of range: it must be at least 0"),
    ({"seeds": [2**32]}, "seeds.0=4294967296 is out of range: it must be at most 4294967295"),
    ({"scenarios": []}, "scenarios is an empty list: it needs at least one entry"),
    ({"scenarios": ["ant_3x3"]}, f"unknown scenario 'ant_3x3': choose from {SCENARIO_NAMES}"),
    ({"scenarios": ["ant_2x4; reboot"]}, f"unknown scenario 'ant_2x4; reboot': choose from {SCENARIO_NAMES}"),
    ({"scenarios": "ant_2x4"}, "scenarios='ant_2x4' is not a list"),
    ({"algorithms": ["ppo"]}, f"unknown algorithm 'ppo': choose from {ALGORITHM_NAMES}"),
    ({"algorithms": [["happo"]]}, "algorithms.0=['happo'] is not a string"),
    ({"environment": {"walls": "brick"}}, "environment.walls='brick' is not valid: choose from ghost, free, solid"),
    ({"grids": {"lamda": {}}}, "unknown key 'lamda' in grids: choose from lam, nu_max, safety_bound"),
    ({"grids": {"lam": {"values": []}}}, "grids.lam.values is an empty list: it needs at least one entry"),
    ({"grids": {"lam": {"values": [-1]}}}, "grids.lam.values.0=-1 is out of range: it must be greater than 0"),
    ({"grids": {"lam": {"values": [float("nan")]}}}, "grids.lam.values=[nan] holds something that is no number"),
    ({"grids": {"lam": {"algorithm": "macpo"}}}, "unknown setting of macpo 'lam'"),
    ({"benchmark": {"rounds": 0}}, "benchmark.rounds=0 is out of range: it must be at least 1"),
    ({"evaluation": {"episodes": 0}}, "evaluation.episodes=0 is out of range: it must be at least 1"),
    ({"videos": {"scenarios": ["ant_3x3"]}}, f"unknown scenario in videos 'ant_3x3': choose from {SCENARIO_NAMES}"),
    ({"videos": {"algorithms": ["ppo"]}}, f"unknown algorithm in videos 'ppo': choose from {ALGORITHM_NAMES}"),
    ({"legacy": "none"}, "legacy='none' is not a mapping of keys to values or null"),
    ({"settings": {"all": {"all": {"walls": "free"}}}}, "settings.all.all.walls changes the task, not the algorithm"),
    ({"settings": {"ppo": {}}}, "unknown algorithm in settings 'ppo': choose from all, mafocops"),
    ({"settings": {"macpo": {"spider": {}}}}, "unknown place in settings.macpo 'spider': choose from all, ant"),
    (setting(1.5, "epochs"), "settings.mafocops.all.epochs=1.5 is not of type int, which this setting has"),
    (setting("fast", "lam"), "settings.mafocops.all.lam='fast' is not a number"),
    (setting("nan", "lam"), "settings.mafocops.all.lam='nan' is not a number"),
    (setting("x; rm -rf ~"), f"settings.mafocops.all.nu_update='x; rm -rf ~' is not valid: {WORDS}"),
    (setting("$(reboot)"), f"settings.mafocops.all.nu_update='$(reboot)' is not valid: {WORDS}"),
    (setting("x' y"), f'settings.mafocops.all.nu_update="x\' y" is not valid: {WORDS}'),
    (setting([64, "&"], "hidden_sizes"), f"settings.mafocops.all.hidden_sizes='&' is not valid: {WORDS}"),
    (
        setting([[1]], "hidden_sizes"),
        "settings.mafocops.all.hidden_sizes=[[1]] is not a number, a word, true, false or",
    ),
    ({"extra_algorithms": {"happo": "no.smk"}}, "extra_algorithms names 'happo', which algorithms/ has already"),
    (
        {"extra_algorithms": {"foo": "no.smk"}},
        "extra_algorithms.foo='no.smk' is no file: give its rules' path from the Snakefile",
    ),
    ({"extra_algorithms": {"foo": "x" * 9999}}, f"extra_algorithms.foo='{'x' * 9999}' is no file"),
    ({"extra_algorithms": {"a b": "no.smk"}}, f"the key 'a b' in extra_algorithms is not a name: {NAME}"),
    ({"settings": ITSELF}, "the configuration contains itself, by an anchor inside its own value"),
]


@pytest.mark.parametrize(("over", "sentence"), MISTAKES, ids=[sentence[:60] for _, sentence in MISTAKES])
def test_a_mistake_is_refused_with(over, sentence):
    with pytest.raises(ValueError) as caught:
        load({**PAPER, **over} if over.get("settings") is ITSELF else merged(PAPER, over))
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


# What Snakemake says of files that are no configuration at all; it reads them before any code of ours.
NO_YAML = "Config file is not valid JSON or YAML."
NO_MAPPING = "Config file must be given as JSON or YAML with keys at top level."
FILES = [
    ("steps: 3\nsteps: [", NO_YAML),
    ("- a\n- list\n", NO_MAPPING),
    ("just text\n", NO_MAPPING),
    ("a: !!python/object/apply:os.system ['touch pwned']\n", NO_YAML),
    ("name: 'x; touch pwned'\n", f"name='x; touch pwned' is not valid: {NAME}"),
    ("settings: {all: {all: {nu_update: '$(touch pwned)'}}}\n", f"'$(touch pwned)' is not valid: {WORDS}"),
    ("settings: {all: {all: {'gamma=1;touch pwned;x': 1}}}\n", "'gamma=1;touch pwned;x' in all is not a name"),
]


@pytest.mark.parametrize(("content", "words"), FILES, ids=[repr(content) for content, _ in FILES])
def test_a_broken_configuration_file_ends_snakemake_with_a_sentence(project, content, words):
    (project.root / "tiny.yaml").write_bytes(content.encode(errors="surrogateescape"))
    done = project.run("snakemake", "-n", "figure2", "--configfile", "tiny.yaml")
    assert done.returncode == 1
    assert words in done.stdout and "Traceback (most recent" not in done.stdout, done.stdout
    assert not (project.root / "pwned").exists() and not (project.root / "results").exists()


def keys_of(value: object, path: tuple = ()) -> list[tuple]:
    """Return the path of every value inside nested mappings and lists."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in keys_of(item, (*path, key)))]


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates() | st.binary(max_size=4)
)
WORTHY = st.sampled_from(
    ["", "default", "all", "ant_2x4", "mafocops", "lam", "nu_max", "1e3", "inf", "-1", "; x", "$(x)"]
)
VALUES = st.recursive(
    SCALARS | WORTHY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SCALARS | WORTHY, inner, max_size=4),
    max_leaves=8,
)


def check(config: object) -> None:
    """Hold `load` to its promise: a suite whose names are harmless, or one sentence."""
    try:
        suite = load(config)
    except ValueError as error:
        assert "\n" not in str(error) and str(error)
        return
    assert isinstance(suite, Suite)
    assert all(re.fullmatch(r"[\w.,=+/-]+", path) for path in artefacts.every(suite))
    for scenario in suite.scenarios:
        words = [
            f"{k}={text(v)}"
            for algorithm in suite.algorithms
            for k, v in suite.settings_of(scenario, algorithm).items()
        ]
        assert words == shlex.split(" ".join(words))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(keys_of(PAPER)), VALUES)
def test_any_value_at_any_place_loads_or_is_refused_in_one_sentence(path, value):
    config = copy.deepcopy(PAPER)
    place = {"root": config}
    for key in ("root", *path)[:-1]:
        place = place[key]
    place[("root", *path)[-1]] = value
    check(yaml.safe_load(yaml.safe_dump(config)) if path else value)


@settings(max_examples=300, deadline=None)
@given(st.text() | VALUES.map(yaml.safe_dump))
def test_any_document_loads_or_is_refused_in_one_sentence(document):
    try:
        config = yaml.safe_load(document)
    except yaml.YAMLError:
        return  # Snakemake's to refuse, see above
    except ValueError:
        return  # a date such as 2001-99-99
    check(config)
