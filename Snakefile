"""Reproduces every figure and table of the paper: `snakemake --cores 8 all_figures`. A dry run (-n) says what is ahead."""

from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/workflow/config/paper.yaml"


include: "workflow/rules/common.smk"


rule all:
    input:
        artefacts.every_shown(SUITE),
        "<results>/verdict.md",
        "<results>/report.html",
        artefacts.every_evaluation(SUITE),
        artefacts.videos(SUITE),


# Drawing takes seconds: on a cluster it happens where Snakemake runs.
localrules:
    figure,
    table,
    benchmark,
    manifest,
    verdict,
    report,


for target, files in targets().items():

    rule:
        name:
            target
        input:
            files,


OURS = [f"workflow/rules/{name}.smk" for name in ("train", "evaluate", "videos", "analysis", "report", "benchmark")]

for rules_file in (*OURS, *sorted(set(SUITE.extra_algorithms.values()))):

    include: rules_file


onstart:
    begin()


onsuccess:
    print("".join(attempt.given_up(Path(SUITE.folder))), end="")
    if Path(SUITE.folder, "report.html").exists():
        print(f"All of it on one page: {SUITE.folder}/report.html")
