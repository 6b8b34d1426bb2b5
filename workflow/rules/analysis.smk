"""Figures, tables, the comparison and the verdict, drawn from the metrics files of the runs."""


rule learning_curves:
    input:
        metrics=lambda wildcards: runs.needed(SUITE, wildcards.figure),
        source=local(sources.analysis()),
    output:
        multiext("<results>/figures/{figure}", ".png", ".csv", ".caption.txt"),
        svg="<results>/figures/{figure}.svg",
    log:
        "<results>/logs/figures/{figure}.log",
    wildcard_constraints:
        figure="|".join(runs.FIGURES),
    conda:
        "../../environment.yml"
    params:
        scenarios=lambda wildcards: runs.scenarios_of(SUITE, wildcards.figure),
        expected=lambda wildcards, input: len(input.metrics),
        base=subpath(output.svg, strip_suffix=".svg"),
        note=NOTE,
    shell:
        "python -m analysis.learning_curves --name {wildcards.figure} --scenarios {params.scenarios} "
        "--metrics {input.metrics} --expected {params.expected} {params.note} --output {params.base} 2> {log}"


rule efficiency_table:
    input:
        metrics=lambda wildcards: runs.needed(SUITE, wildcards.table),
        source=local(sources.analysis()),
    output:
        multiext("<results>/tables/{table}", ".csv", ".tex", ".caption.txt"),
        markdown="<results>/tables/{table}.md",
    log:
        "<results>/logs/tables/{table}.log",
    wildcard_constraints:
        table="table[12]",
    conda:
        "../../environment.yml"
    params:
        expected=lambda wildcards, input: len(input.metrics),
        base=subpath(output.markdown, strip_suffix=".md"),
        note=NOTE,
    shell:
        "python -m analysis.efficiency --table {wildcards.table} --metrics {input.metrics} "
        "--expected {params.expected} {params.note} --output {params.base} 2> {log}"


rule sensitivity_table:
    input:
        metrics=lambda wildcards: runs.needed(SUITE, wildcards.table),
        source=local(sources.analysis()),
    output:
        multiext("<results>/tables/{table}", ".csv", ".tex", ".caption.txt"),
        markdown="<results>/tables/{table}.md",
    log:
        "<results>/logs/tables/{table}.log",
    wildcard_constraints:
        table="table[34]",
    conda:
        "../../environment.yml"
    params:
        parameter=lambda wildcards: runs.SENSITIVITY[wildcards.table],
        published=published_value,
        scenarios=lambda wildcards: runs.scenarios_of(SUITE, wildcards.table),
        expected=lambda wildcards, input: len(input.metrics),
        base=subpath(output.markdown, strip_suffix=".md"),
        note=NOTE,
    shell:
        "python -m analysis.sensitivity --table {wildcards.table} --parameter {params.parameter} "
        "--published {params.published} --scenarios {params.scenarios} --metrics {input.metrics} "
        "--expected {params.expected} {params.note} --output {params.base} 2> {log}"


rule pareto:
    input:
        metrics=runs.main_runs(SUITE),
        source=local(sources.analysis()),
    output:
        multiext("<results>/figures/pareto", ".png", ".csv", ".caption.txt"),
        svg="<results>/figures/pareto.svg",
    log:
        "<results>/logs/figures/pareto.log",
    conda:
        "../../environment.yml"
    params:
        expected=lambda wildcards, input: len(input.metrics),
        base=subpath(output.svg, strip_suffix=".svg"),
        note=NOTE,
    shell:
        "python -m analysis.pareto --metrics {input.metrics} --expected {params.expected} {params.note} "
        "--output {params.base} 2> {log}"


rule iteration_time:
    input:
        metrics=runs.needed(SUITE, "table1"),
        source=local(sources.analysis()),
    output:
        multiext("<results>/figures/iteration_time", ".png", ".csv", ".caption.txt"),
        svg="<results>/figures/iteration_time.svg",
    log:
        "<results>/logs/figures/iteration_time.log",
    conda:
        "../../environment.yml"
    params:
        expected=lambda wildcards, input: len(input.metrics),
        base=subpath(output.svg, strip_suffix=".svg"),
        note=NOTE,
    shell:
        "python -m analysis.iteration_time --metrics {input.metrics} --expected {params.expected} {params.note} "
        "--output {params.base} 2> {log}"


rule evaluation:
    input:
        evaluations=runs.evaluations(SUITE),
        source=local(sources.analysis()),
    output:
        multiext("<results>/evaluation", ".csv", ".tex", ".caption.txt"),
        markdown="<results>/evaluation.md",
    log:
        "<results>/logs/evaluation.log",
    conda:
        "../../environment.yml"
    params:
        base=subpath(output.markdown, strip_suffix=".md"),
        note=NOTE,
    shell:
        "python -m analysis.evaluation --evaluations {input.evaluations} {params.note} --output {params.base} 2> {log}"


rule comparison:
    input:
        metrics=runs.main_runs(SUITE),
        evaluations=runs.evaluations(SUITE),
        source=local(sources.analysis()),
    output:
        multiext("<results>/comparison", ".csv", ".tex", ".caption.txt"),
        multiext("<results>/comparison_pairs", ".csv", ".tex", ".caption.txt"),
        multiext("<results>/comparison_profile", ".png", ".csv", ".caption.txt"),
        multiext("<results>/comparison_seeds", ".png", ".csv", ".caption.txt"),
        "<results>/comparison_pairs.md",
        "<results>/comparison_profile.svg",
        "<results>/comparison_seeds.svg",
        markdown="<results>/comparison.md",
    log:
        "<results>/logs/comparison.log",
    conda:
        "../../environment.yml"
    params:
        expected=lambda wildcards, input: len(input.metrics),
        base=subpath(output.markdown, strip_suffix=".md"),
        note=NOTE,
    shell:
        "python -m analysis.comparison --metrics {input.metrics} --evaluations {input.evaluations} "
        "--expected {params.expected} {params.note} --output {params.base} 2> {log}"


rule verdict:
    input:
        tables=expand("<results>/tables/{table}.csv", table=runs.tables(SUITE)),
        metrics=runs.judged(SUITE),
        manifest="<results>/manifest.json",
        source=local(sources.analysis()),
    output:
        multiext("<results>/verdict", ".csv", ".tex", ".caption.txt"),
        markdown="<results>/verdict.md",
    log:
        "<results>/logs/verdict.log",
    conda:
        "../../environment.yml"
    params:
        base=subpath(output.markdown, strip_suffix=".md"),
    shell:
        "python -m analysis verdict {input.tables} {input.metrics} {input.manifest} --output {params.base} 2> {log}"
