"""Figures, tables and the verdict, drawn from the files of the runs; workflow/artefacts.py has a row for each."""


rule figure:
    input:
        runs=lambda wildcards: needed(wildcards.name),
        source=code(sources.analysis()),
    output:
        multiext("<results>/figures/{name}", ".png", ".csv", ".caption.txt"),
        shown="<results>/figures/{name}.svg",
    log:
        "<results>/logs/figures/{name}.log",
    wildcard_constraints:
        name=artefacts.pattern(artefacts.FIGURE),
    conda:
        "../../environment.yml"
    params:
        base=lambda wildcards, output: output.shown.rpartition(".")[0],
        listing=lambda wildcards, output: artefacts.listing(SUITE, output.shown),
        note=NOTE,
    shell:
        "python -m analysis $(basename {params.base}) @{params.listing} {params.note} --output {params.base} 2> {log}"


use rule figure as table with:
    output:
        multiext("<results>/tables/{name}", ".csv", ".tex", ".caption.txt"),
        shown="<results>/tables/{name}.md",
    log:
        "<results>/logs/tables/{name}.log",
    wildcard_constraints:
        name=artefacts.pattern(artefacts.TABLE),


use rule figure as verdict with:
    input:
        runs=[
            artefacts.judged_tables(SUITE),
            artefacts.judged(SUITE),
            "<results>/manifest.json",
        ],
        source=code(sources.analysis()),
    output:
        multiext("<results>/verdict", ".csv", ".tex", ".caption.txt"),
        shown="<results>/verdict.md",
    log:
        "<results>/logs/verdict.log",
    params:
        note="",
