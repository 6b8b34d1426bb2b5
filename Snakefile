"""Reproduces every figure and table of the paper: `snakemake --cores 8 all_figures`. A dry run (-n) says what is ahead."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "workflow/config/paper.yaml"


include: "workflow/rules/common.smk"


rule all:
    input:
        "<results>/comparison.md",
        "<results>/verdict.md",
        "<results>/report.html",
        runs.every_evaluation(SUITE),
        runs.videos(SUITE),


# Drawing takes seconds: on a cluster it happens where Snakemake runs.
localrules:
    learning_curves,
    efficiency_table,
    sensitivity_table,
    pareto,
    iteration_time,
    evaluation,
    comparison,
    manifest,
    verdict,
    report,
    benchmark,


rule all_figures:
    input:
        expand("<results>/figures/{figure}.svg", figure=(*runs.figures(SUITE), *runs.VIEWS)),


rule all_tables:
    input:
        expand("<results>/tables/{table}.md", table=runs.tables(SUITE)),


for artefact in runs.ARTEFACTS:

    rule:
        name:
            artefact
        input:
            lambda wildcards, artefact=artefact: shown(artefact),


include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/videos.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/benchmark.smk"


for rules_file in sorted(set(SUITE.extra_algorithms.values())):

    include: rules_file


onstart:
    begin()


onsuccess:
    summarise()
