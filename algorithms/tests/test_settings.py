"""Settings and command line: defaults, types, and one sentence for whatever is wrong, before anything is written."""

import dataclasses

import pytest

from algorithms import ALGORITHMS, train
from algorithms.core.config import Config, parse

EVERY = pytest.mark.parametrize("name", ALGORITHMS)

TABLE_5 = {
    "mafocops": {"lam": 2.2, "nu_max": 1.3, "nu_lr": 5e-5, "kl_threshold": 0.0125, "minibatch_size": 256, "epochs": 5},
    "macpo": {"kl_threshold": 0.008},  # its fraction_coef belongs to a step on every minibatch
}


@EVERY
def test_defaults_are_those_of_table_5(name):
    config = ALGORITHMS[name].Config()
    for setting, value in TABLE_5.get(name, {}).items():
        assert getattr(config, setting) == value


@EVERY
def test_every_setting_survives_being_written_as_text(name):
    kind = ALGORITHMS[name].Config
    for field in dataclasses.fields(kind):
        value = getattr(kind(), field.name)
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        if text:
            assert getattr(parse(kind, {field.name: text}), field.name) == value


def test_texts_take_the_type_of_their_field():
    config = parse(ALGORITHMS["mafocops"].Config, {"nu_max": "inf", "epochs": "3", "gate": "False", "lam": "1e1"})
    assert (config.nu_max, config.epochs, config.gate, config.lam) == (float("inf"), 3, False, 10.0)
    config = parse(Config, {"hidden": "32,16,8", "safety_bound": "25"})
    assert config.hidden == (32, 16, 8) and config.safety_bound == (25.0,)
    assert parse(Config, {"gamma": "0.5"}, base=Config(epochs=9)) == Config(gamma=0.5, epochs=9)


WRONG = {
    "lamda=1": ("lamda", "lam,"),
    "epochs=two": ("epochs=two", "whole number"),
    "epochs=2.5": ("epochs=2.5", "whole number"),
    "epochs=0": ("epochs=0", "positive"),
    "num_envs=-1": ("num_envs=-1", "positive"),
    "lam=high": ("lam=high", "number"),
    "lam=0": ("lam=0", "positive"),
    "lam=nan": ("lam=nan", "positive"),
    "actor_lr=-1": ("actor_lr=-1", "positive"),
    "gamma=1.5": ("gamma=1.5", "[0, 1]"),
    "gate=yes": ("gate=yes", "true or false"),
    "walls=paper": ("walls=paper", "ghost, free, solid"),
    "observation=half": ("observation=half", "original, full"),
    "partition=mine": ("partition=mine", "original, declared"),
    "costs=none": ("costs=none", "shared, separate"),
    "time_limit=none": ("time_limit=none", "bootstrap or failure"),
    "legacy_time_limit=true": ("legacy_time_limit=true", "no longer", "time_limit=failure", "time_limit=bootstrap"),
    "nu_update=epoch": ("nu_update=epoch", "minibatch or iteration"),
    "hidden=64,wide": ("hidden=wide", "whole number"),
    "safety_bound=-5": ("safety_bound=-5", "positive"),
    "epochs": ("epochs", "name=value"),
}


@pytest.mark.parametrize("setting", WRONG)
def test_a_wrong_setting_is_refused_naming_it_and_the_choices(setting):
    options = train.arguments().parse_args(["--scenario", "ant_2x4", "--algorithm", "mafocops", "--set", setting])
    with pytest.raises(ValueError) as caught:
        train.task_of(options)
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in WRONG[setting])


def test_macpo_refuses_an_unknown_trust_region():
    with pytest.raises(ValueError, match=r"trust_region=epoch .*minibatch or iteration"):
        parse(ALGORITHMS["macpo"].Config, {"trust_region": "epoch"})


def test_an_unknown_setting_lists_all_valid_ones():
    with pytest.raises(ValueError) as caught:
        parse(ALGORITHMS["happo"].Config, {"nu_max": "1"})  # another algorithm's
    assert all(field.name in str(caught.value) for field in dataclasses.fields(ALGORITHMS["happo"].Config))


def test_the_variant_is_default_or_its_settings_or_its_name():
    def variant(*more: str) -> str:
        command = ["--scenario", "ant_2x4", "--algorithm", "mafocops", *more]
        return train.task_of(train.arguments().parse_args(command))[0].variant

    assert variant() == "default"
    assert variant("--set", "nu_max=inf") == "nu_max=inf"
    assert variant("--set", "nu_max=inf", "--variant", "open") == "open"


@EVERY
def test_named_variants_are_valid_settings(name):
    for variant, settings in getattr(ALGORITHMS[name], "VARIANTS", {}).items():
        command = ["--scenario", "ant_2x4", "--algorithm", name, "--variant", variant]
        task, kind = train.task_of(train.arguments().parse_args(command))
        assert task.config == parse(kind.Config, settings) and task.config != kind.Config()


def test_settings_of_a_task_are_plain_json_even_when_infinite():
    command = ["--scenario", "ant_2x4", "--algorithm", "mafocops", "--set", "nu_max=inf", "hidden=8"]
    task, _ = train.task_of(train.arguments().parse_args(command))
    assert task.settings()["nu_max"] == "inf" and task.settings()["hidden"] == [8]


@EVERY
def test_an_algorithm_is_found_by_its_file_alone(name, monkeypatch):
    kind = ALGORITHMS[name]
    monkeypatch.delitem(ALGORITHMS, name)
    assert train.class_of(name) is kind


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ppo", "unknown algorithm 'ppo': choose from mafocops, .*, or add its file to algorithms/"),
        ("core", "unknown algorithm 'core'"),
        ("../algorithms/happo", "unknown algorithm"),
        ("evaluate", "algorithms/evaluate.py has 0 classes with update_agent: it needs one"),
    ],
)
def test_what_is_no_algorithm_is_refused(name, words):
    with pytest.raises(ValueError, match=words):
        train.class_of(name)
