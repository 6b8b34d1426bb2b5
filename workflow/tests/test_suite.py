"""Configurations: what the published ones ask for, and how a wrong one is refused."""

import copy
from collections import Counter
from pathlib import Path

import pytest
import yaml
from snakemake.target_jobs import parse_target_jobs_cli_args
from snakemake_interface_executor_plugins.utils import TargetSpec, encode_target_jobs_cli_args

from envs import scenarios as tasks
from envs.scenarios import SCENARIOS
from workflow import artefacts, layout, sources
from workflow.layout import place_of
from workflow.numbers import text
from workflow.suite import EITHER, load, places

CONFIGS = sources.ROOT / "workflow/config"
PAPER = yaml.safe_load((CONFIGS / "paper.yaml").read_text())


def merged(base: dict, over: dict) -> dict:
    """Lay one configuration over another, as Snakemake does."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


HANDS = merged(PAPER, yaml.safe_load((CONFIGS / "hands.yaml").read_text()))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_published_configuration_is_valid_and_named_after_its_file(path: Path):
    own = yaml.safe_load(path.read_text())
    assert load(merged(PAPER, own)).name == own.get("name", "paper") and own.get("name", "corrected") == path.stem


@pytest.mark.parametrize("name", ["paper", "quick"])
def test_every_figure_and_table_of_the_paper_is_made_by(name):
    suite = load(merged(PAPER, yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())))
    shown = [name for name, row in artefacts.ROWS.items() if row.section != "hands" and name != "foreign"]
    assert artefacts.made(suite) == shown


HANDS = merged(PAPER, yaml.safe_load((CONFIGS / "hands.yaml").read_text()))


@pytest.mark.parametrize("over", ["hands", "hands_cpu", "hands_smoke"])
def test_the_hands_are_shown_under_both_rules_for_a_fallen_object_in_folders_of_their_own(over):
    config = merged(HANDS, yaml.safe_load((CONFIGS / f"{over}.yaml").read_text()))
    suite, published = load(config), load(config | {"environment": {}})
    assert suite.folder == f"results/{over},fall=continue" and published.folder == f"results/{over}"
    for each, other in ((suite, "fall=end"), (published, "fall=continue")):
        runs = {name: artefacts.ROWS[name].needs(each) for name in ("figure_hands", "figure_hands_fall")}
        assert [{place_of(path).variant for path in paths} for paths in runs.values()] == [{"default"}, {other}]
        assert {(place_of(path).scenario, place_of(path).algorithm) for path in runs["figure_hands_fall"]} == {
            (scenario, algorithm) for scenario in each.scenarios for algorithm in each.fall["algorithms"]
        }
        assert each.settings_of("shadowhandover", "happo", other)["fall"] == other.removeprefix("fall=")
    assert "figure_hands_fall" not in artefacts.made(load(config | {"fall": None}))


def test_the_hands_have_the_settings_of_table_5_and_mappo_a_policy_per_agent():
    suite = load(HANDS)
    printed = {"lam": 2, "nu_max": 1.4, "nu_lr": 1e-3, "kl_threshold": 0.01, "minibatch_size": 8192, "epochs": 3}
    for scenario, lagrangian in (("shadowhandover", (0.14, 1e-7)), ("shadowhandreorientation", (0.68, 9e-7))):
        mafocops, mappo_l = (suite.settings_of(scenario, name) for name in ("mafocops", "mappo_l"))
        assert printed.items() <= mafocops.items()
        assert mafocops["num_envs"] * mafocops["rollout_length"] == 8192
        assert (mappo_l["lamda_lagr"], mappo_l["lagrangian_coef_rate"]) == lagrangian
        assert suite.settings_of(scenario, "macpo")["kl_threshold"] == 0.009
        assert suite.settings_of(scenario, "mappo")["share_policy"] is False


def test_the_paper_trains_605_runs_and_shares_the_published_values_of_the_grids():
    suite = load(PAPER)
    needed = artefacts.every(suite)
    by_kind = Counter(
        "efficiency" if "/efficiency/" in path else path.split("/")[5].partition("=")[0] for path in needed
    )
    scenarios, seeds = len(tasks.PAPER), 5
    assert by_kind == {
        "default": scenarios * 5 * seeds,
        "lam": 4 * 4 * seeds,  # five values less the published one
        "nu_max": 4 * 5 * seeds,  # six less the published one
        "safety_bound": 3 * 2 * seeds,
        "efficiency": scenarios * (5 + 1) * 3,  # MACPO in two ways
        "legacy": 2 * 2 * seeds,
        "time_limit": 2 * 3 * seeds,
        "nu_update": 2 * seeds,
        "kl_reduction": 2 * seeds,
    }
    assert len(artefacts.measurements(suite)) == scenarios * 5


def test_what_the_paper_timed_is_timed_beside_the_main_runs_and_wins_over_their_settings():
    suite = load(merged(PAPER, {"settings": {"macpo": {"ant": {"fraction_coef": 0.7, "trust_region": "iteration"}}}}))
    variants = {name: suite.timed(name) for name in suite.algorithms}
    published = "fraction_coef=0.3+trust_region=minibatch"
    assert variants.pop("macpo") == ["default", published]
    assert set(map(tuple, variants.values())) == {("default",)}
    settings = {name: suite.settings_of("ant_2x4", "macpo", name) for name in ("default", published)}
    assert {key: settings["default"][key] for key in ("fraction_coef", "trust_region")} == {
        "fraction_coef": 0.7,
        "trust_region": "iteration",
    }
    assert settings[published] == settings["default"] | {"trust_region": "minibatch", "fraction_coef": "0.3"}
    assert "variants" not in load(HANDS).efficiency


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"lam": "2"},
        {"hidden": "64,32", "lr": "1e-3", "trust_region": "minibatch"},
        {"lam": "1e12", "hidden": "8,8"},
        {"lam": "1e+5", "nu_max": "2"},
    ],
)
def test_settings_are_read_back_from_their_variant_which_executors_of_snakemake_can_name(settings):
    variant = layout.variant_with(settings)
    assert layout.settings_in(variant) == settings
    assert layout.variant_with(dict(reversed(settings.items()))) == variant
    job = TargetSpec("train", {"variant": variant, "seed": "0"})
    assert parse_target_jobs_cli_args(encode_target_jobs_cli_args([job])) == [job]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_run_of_every_suite_is_one_that_executors_of_snakemake_can_name(path):
    suite = load(merged(PAPER, yaml.safe_load(path.read_text())))
    needed = {file for name in artefacts.made(suite) for file in artefacts.ROWS[name].needs(suite)}
    places = {layout.place_if_any(file) for file in needed} - {None}
    jobs = [TargetSpec("train", {**place._asdict(), "seed": str(place.seed)}) for place in places]
    assert jobs and parse_target_jobs_cli_args(encode_target_jobs_cli_args(jobs)) == jobs


def test_a_variant_of_several_values_and_settings_is_read_back():
    found = load(PAPER).settings_of("ant_2x4", "macpo", "hidden=64+32+lr=1e-3+trust_region=minibatch")
    assert found == {"time_limit": "failure", "hidden": "64,32", "lr": "1e-3", "trust_region": "minibatch"}


def test_a_sensitivity_table_rests_on_happo_and_on_every_value():
    needed = artefacts.ROWS["table4"].needs(load(PAPER))
    variants = {path.split("/")[5] for path in needed if "/mafocops/" in path}
    assert variants == {"default", "nu_max=1", "nu_max=2", "nu_max=3", "nu_max=5", "nu_max=inf"}
    assert sum("/happo/default/" in path for path in needed) == 4 * 5


def test_a_suite_without_legacy_and_benchmark_needs_no_runs_for_them():
    suite = load(PAPER | {"legacy": None, "benchmark": None})
    assert "legacy" not in artefacts.made(suite) and not artefacts.measurements(suite)
    without = load({key: value for key, value in PAPER.items() if key not in ("legacy", "benchmark")})
    assert (without.legacy, without.benchmark) == (suite.legacy, suite.benchmark)


def test_the_verdict_reads_the_runs_of_figures_2_to_6_and_no_others():
    judged = artefacts.judged(load(PAPER))
    figures = {path for i in range(2, 7) for path in artefacts.ROWS[f"figure{i}"].needs(load(PAPER))}
    assert len(judged) == len(set(judged)) and set(judged) == figures
    without = load(PAPER | {"grids": {}})
    assert artefacts.judged(without) == artefacts.main_runs(without)


def test_the_legacy_figure_sets_every_legacy_run_beside_a_main_run():
    needed = set(artefacts.ROWS["legacy"].needs(load(PAPER)))
    legacy = {path for path in needed if "/legacy/" in path}
    assert {path.replace("/legacy/", "/default/") for path in legacy} == needed - legacy
    assert needed - legacy <= set(artefacts.main_runs(load(PAPER)))


TABLE_5 = {
    "ant_2x4": 0.38,
    "ant_8x1": 0.38,
    "halfcheetah_6x1": 0.46,
    "manyagent_ant_2x3": 0.59,
    "manyagent_ant_6x1": 0.59,
    "manyagent_ant_2x4": 0.52,
    "manyagent_ant_8x1": 0.52,
}


@pytest.mark.parametrize(("scenario", "expected"), TABLE_5.items())
def test_mappo_l_has_the_multiplier_of_table_5_on(scenario, expected):
    settings = load(PAPER).settings_of(scenario, "mappo_l")
    assert settings == {"time_limit": "failure", "lagrangian_coef_rate": 1e-7, "lamda_lagr": expected}


@pytest.mark.parametrize("algorithm", [name for name in sources.algorithms() if name != "mappo_l"])
def test_the_published_time_limit_and_kl_are_all_that_differs_from_the_code_for(algorithm):
    wanted = {"time_limit": "failure"} | ({"kl_reduction": "mean"} if algorithm == "mafocops" else {})
    assert all(load(PAPER).settings_of(name, algorithm) == wanted for name in tasks.PAPER)


CORRECTED_ALONE = yaml.safe_load((CONFIGS / "corrected.yaml").read_text())
CORRECTED = merged(PAPER, CORRECTED_ALONE)


@pytest.mark.parametrize("below", ["paper", "quick", "smoke", "halfcheetah_2x3"])
def test_the_corrected_suite_bootstraps_everywhere_and_shares_no_file_with_the_published_one(below):
    published = load(merged(PAPER, yaml.safe_load((CONFIGS / f"{below}.yaml").read_text())))
    corrected = load(merged(merged(PAPER, yaml.safe_load((CONFIGS / f"{below}.yaml").read_text())), CORRECTED_ALONE))
    assert (published.conditions, corrected.conditions) == ([], ["time_limit=bootstrap"])
    assert corrected.folder == f"results/{below},time_limit=bootstrap" and "time_limit=bootstrap" in corrected.caption
    assert not {*artefacts.every(published)} & {*artefacts.every(corrected)}
    for suite, value in ((published, "failure"), (corrected, "bootstrap")):
        found = {suite.settings_of(name, each)["time_limit"] for name in suite.scenarios for each in suite.algorithms}
        assert found == {value}


def test_an_algorithm_of_its_own_kind_marks_the_results_and_one_from_elsewhere_does_not():
    own = load(merged(PAPER, {"settings": {"macpo": {"ant": {"time_limit": "bootstrap"}}}}))
    assert own.folder == "results/paper,time_limit=bootstrap+failure"
    foreign = {"algorithms": ["happo", "foo"], "extra_algorithms": {"foo": str(sources.ROOT / "Snakefile")}}
    assert load(merged(PAPER, foreign | {"settings": {"foo": {"all": {"x": 1}}}})).folder == "results/paper"


@pytest.mark.parametrize("config", [PAPER, CORRECTED], ids=["published", "corrected"])
def test_the_legacy_variant_keeps_its_own_time_limit(config):
    assert "time_limit" not in load(config).settings_of("ant_2x4", "macpo", "legacy")


@pytest.mark.parametrize("name", EITHER)
@pytest.mark.parametrize("other", [False, True])
def test_a_figure_of_two_values_sets_the_other_one_beside_each_main_run(name, other):
    (setting, (first, second)), suite = EITHER[name], load(PAPER)
    main = {"time_limit": "failure", "nu_reading": "minibatch", "kl_reading": "mean"}[name]
    if other:
        main = {first: second, second: first}[main]
        places = ("ant", "halfcheetah") if name == "kl_reading" else ("all",)
        changed = {"all" if name == "time_limit" else "mafocops": {place: {setting: main} for place in places}}
        suite = load(merged(PAPER, {"settings": changed}))
    needed = artefacts.ROWS[name].needs(suite)
    beside = [path for path in needed if f"/{setting}=" in path]
    assert {path.split("/")[5] for path in beside} == {f"{setting}={first if main == second else second}"}
    again = [path.replace(f"/{path.split('/')[5]}/", "/default/") for path in beside]
    assert sorted(again) == sorted({*needed} - {*beside}) and {*again} <= {*artefacts.main_runs(suite)}
    group = getattr(suite, name)
    assert len(beside) == len(group["scenarios"]) * len(group["algorithms"]) * len(suite.seeds)


PUBLISHED = {
    "mafocops": {"lam": 2.2, "nu_max": 1.3, "nu_lr": 5e-5, "kl_threshold": 0.0125, "minibatch_size": 256, "epochs": 5},
    # Table 5 has fraction_coef 0.3, which algorithms/macpo.py keeps for its variant `legacy` and explains.
    "macpo": {"kl_threshold": 0.008, "fraction_coef": 1.0},
}


@pytest.mark.parametrize("algorithm", PUBLISHED)
def test_the_defaults_in_the_code_are_table_5_for(algorithm):
    fields = sources.fields(algorithm)
    assert {name: fields[name].default for name in PUBLISHED[algorithm]} == PUBLISHED[algorithm]


def test_the_more_specific_setting_wins():
    table = {"all": {"epochs": 1}, "ant": {"epochs": 2}, "ant_2x4": {"epochs": 3}}
    suite = load(merged(PAPER, {"settings": {"all": {"all": {"epochs": 9}}, "happo": table}}))
    found = [suite.settings_of(name, "happo")["epochs"] for name in ("halfcheetah_2x3", "ant_4x2", "ant_2x4")]
    assert found == [1, 2, 3]
    assert suite.settings_of("ant_2x4", "mappo")["epochs"] == 9


def test_a_variant_overrides_the_suite():
    wanted = {"time_limit": "failure", "kl_reduction": "mean", "lam": "3"}
    assert load(PAPER).settings_of("ant_2x4", "mafocops", "lam=3") == wanted


def test_the_policies_of_the_main_runs_are_evaluated_but_not_those_of_foreign_algorithms():
    foreign = {"algorithms": ["happo", "foo"], "extra_algorithms": {"foo": str(sources.ROOT / "Snakefile")}}
    suite = load(merged(PAPER, foreign))
    evaluated = [path.removesuffix("evaluation.csv") for path in artefacts.evaluations(suite)]
    main = [path.removesuffix("metrics.csv") for path in artefacts.main_runs(suite)]
    assert evaluated == [path for path in main if "/happo/" in path] and len(main) == 2 * len(evaluated)


def test_changing_the_main_runs_changes_which_value_of_a_grid_they_are():
    suite = load(merged(PAPER, {"settings": {"mafocops": {"all": {"lam": 3}}}}))
    assert suite.variant("lam", 3, "ant_2x4", "mafocops") == "default"
    assert suite.variant("lam", 2.2, "ant_2x4", "mafocops") == "lam=2.2"


def test_options_of_the_environment_show_in_the_path_and_in_every_caption():
    suite = load(PAPER | {"environment": {"walls": "solid", "costs": "separate"}})
    assert suite.folder == "results/paper,costs=separate,walls=solid"
    assert "walls=solid" in suite.caption
    assert suite.settings_of("ant_2x4", "mappo") == {"time_limit": "failure", **suite.environment}


@pytest.mark.parametrize("options", [{"walls": "ghost"}, {"costs": "shared", "observation": "original"}])
def test_options_of_the_published_task_are_no_condition(options):
    suite = load(PAPER | {"environment": options})
    assert (suite.folder, suite.caption) == ("results/paper", load(PAPER).caption)
    assert load(PAPER | {"environment": options | {"walls": "solid"}}).folder == "results/paper,walls=solid"


def test_the_rule_for_a_fallen_object_names_the_folder_and_the_variant_beside_it():
    found = {}
    for rule in ("end", "continue", None):
        suite = load(merged(HANDS, {"environment": {"fall": rule}}))
        found[rule] = (suite.folder, suite.other_fall)
    assert found["end"] == found[None] == ("results/hands", "fall=continue")
    assert found["continue"] == ("results/hands,fall=continue", "fall=end")


def test_text_is_read_as_the_number_that_the_schema_asks_for():
    over = {"steps": "3000", "seeds": ["0", "1"], "grids": {"nu_max": {"values": ["1.3", "inf"]}}}
    suite = load(merged(PAPER, over | {"settings": {"mafocops": {"all": {"nu_lr": "5e-5"}}}}))
    assert (suite.steps, suite.seeds, suite.grids["nu_max"]["values"]) == (3000, (0, 1), [1.3, float("inf")])
    assert suite.settings_of("ant_2x4", "mafocops")["nu_lr"] == 5e-5


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, "1"), (1.0, "1"), (2.2, "2.2"), (5e-5, "5e-05"), (float("inf"), "inf"), (True, "true"), ([64, 64], "64,64")],
)
def test_values_read_the_same_in_paths_and_commands(value, expected):
    assert text(value) == expected


REFUSED = {
    "an unknown key": ({"stepz": 3}, ["'stepz'", "steps", "seeds"]),
    "an unknown key in a group": ({"efficiency": {"runs": 3}}, ["'runs'", "efficiency", "repeats"]),
    "text for a number": ({"steps": "many"}, ["steps", "'many'", "whole number"]),
    "a number for a list": ({"seeds": 3}, ["seeds=3", "list"]),
    "a number out of range": ({"steps": 0}, ["steps=0", "at least 1"]),
    "a seed twice": ({"seeds": [1, 1]}, ["seeds", "twice"]),
    "an unknown scenario": ({"scenarios": ["ant_3x3"]}, ["'ant_3x3'", "ant_2x4", "manyagent_ant_8x1"]),
    "an unknown algorithm": ({"algorithms": ["ppo"]}, ["'ppo'", "mafocops", "mappo_l"]),
    "an unknown grid": ({"grids": {"lamda": {}}}, ["'lamda'", "lam", "nu_max"]),
    "a variant of no algorithm": ({"efficiency": {"variants": {"ppo": {"clip": 1}}}}, ["variants", "'ppo'", "macpo"]),
    "a variant with a setting that no one reads": (
        {"efficiency": {"variants": {"happo": {"nu_init": 1}}}},
        ["efficiency.variants.happo.nu_init", "entropy_coef"],
    ),
    "a variant of another task": ({"efficiency": {"variants": {"happo": {"walls": "free"}}}}, ["variants", "the task"]),
    "an unknown option of the task": ({"environment": {"walls": "brick"}}, ["environment.walls", "'brick'", "solid"]),
    "an option that a task does not have": (
        {"environment": {"fall": "continue"}},
        ["environment option fall='continue'", "ant_2x4", "walls, observation, partition, costs"],
    ),
    "the default of an option that a task does not have": (
        {"environment": {"fall": "end"}},
        ["environment option fall='end'", "ant_2x4", "walls, observation, partition, costs"],
    ),
    "a rule for a fallen object where there is none": (
        {"fall": {"scenarios": ["ant_2x4"], "algorithms": ["happo"]}},
        ["scenario in fall", "'ant_2x4'", "shadowhandover, shadowhandreorientation"],
    ),
    "an unknown setting": ({"settings": {"macpo": {"all": {"lam": 1}}}}, ["'lam'", "macpo", "fraction_coef"]),
    "an unknown place": ({"settings": {"macpo": {"spider": {}}}}, ["'spider'", "halfcheetah"]),
    "a setting of the wrong type": ({"settings": {"macpo": {"all": {"epochs": 1.5}}}}, ["epochs", "1.5", "int"]),
    "a task hidden in settings": ({"settings": {"all": {"all": {"walls": "free"}}}}, ["walls", "environment"]),
    "a legacy variant that no one has": (
        {"legacy": {"algorithms": ["happo"]}},
        ["algorithm in legacy", "'happo'", "macpo, mappo_l"],
    ),
    "an unknown scenario of the legacy figure": (
        {"legacy": {"scenarios": ["ant_3x3"]}},
        ["legacy", "'ant_3x3'", "ant_2x4"],
    ),
    "a setting's old name": (
        {"settings": {"all": {"all": {"legacy_time_limit": True}}}},
        ["settings.all.all.legacy_time_limit=True", "no longer", "time_limit=failure", "time_limit=bootstrap"],
    ),
    "another time limit": (
        {"settings": {"happo": {"ant": {"time_limit": "none"}}}},
        ["settings.happo.ant.time_limit='none'", "bootstrap, failure"],
    ),
    "an algorithm without nu": ({"nu_reading": {"algorithms": ["happo"]}}, ["algorithm in nu_reading", "mafocops"]),
    "an algorithm that cannot be measured": ({"benchmark": {"algorithms": ["ppo"]}}, ["benchmark", "'ppo'", "mappo_l"]),
    "no rounds to measure": ({"benchmark": {"rounds": 0}}, ["benchmark.rounds=0", "at least 1"]),
    "a word for a group": ({"legacy": "none"}, ["legacy='none'", "mapping", "null"]),
    "rules that are not there": ({"extra_algorithms": {"foo": "no.smk"}}, ["foo", "no.smk"]),
    "a name with a path": ({"name": "../x"}, ["name", "../x"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_sentence_with_the_choices(case):
    over, words = REFUSED[case]
    with pytest.raises(ValueError) as caught:
        load(merged(PAPER, over))
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_an_option_of_the_robots_is_refused_for_the_hands():
    with pytest.raises(
        ValueError, match=r"walls='free' does not apply to shadowhandover; choose from costs, fall, epi"
    ):
        load(merged(HANDS, {"environment": {"walls": "free"}}))


@pytest.mark.parametrize("missing", ["name", "steps", "seeds"])
def test_a_missing_key_is_named(missing):
    with pytest.raises(ValueError, match=missing):
        load({key: value for key, value in PAPER.items() if key != missing})


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_places_go_from_general_to_specific_for(scenario):
    found = places(SCENARIOS[scenario])
    assert (found[0], found[-1]) == ("all", scenario)
    assert len(found) == (4 if "manyagent" in scenario else 3)


@pytest.mark.parametrize("algorithm", sources.algorithms())
def test_settings_read_from_the_source_are_those_of_the_code(algorithm):
    algorithms = pytest.importorskip("algorithms")
    import dataclasses

    fields = dataclasses.fields(algorithms.ALGORITHMS[algorithm].Config)
    found = sources.fields(algorithm)
    assert tuple(algorithms.ALGORITHMS) == sources.algorithms()
    assert sources.variants(algorithm) == tuple(getattr(algorithms.ALGORITHMS[algorithm], "VARIANTS", ()))
    assert {field.name for field in fields} == set(found)
    assert {f.name: f.default for f in fields if found[f.name].default is not None} == {
        name: field.default for name, field in found.items() if field.default is not None
    }
