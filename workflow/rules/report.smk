"""Where the results come from: a list of every run, and one page with every figure and table."""


rule manifest:
    input:
        metrics=runs.every(SUITE),
        source=local(sources.analysis()),
    output:
        report(
            "<results>/manifest.json",
            caption="../report/manifest.rst",
            category="Provenance",
            labels={"artefact": "manifest", "content": "every run"},
        ),
    log:
        "<results>/logs/manifest.log",
    conda:
        "../../environment.yml"
    shell:
        "python -m analysis.manifest --metrics {input.metrics} --output {output} 2> {log}"


rule report:
    input:
        expand("<results>/figures/{figure}.svg", figure=runs.figures(SUITE)),
        expand("<results>/tables/{table}.md", table=runs.tables(SUITE)),
        "<results>/comparison.md",
        "<results>/verdict.md",
        "<results>/manifest.json",
    output:
        "<results>/report.html",
    log:
        "<results>/logs/report.log",
    conda:
        "../../environment.yml"
    params:
        config=f"{SUITE.folder}/config.yaml",
    shell:
        # A second Snakemake reads what the first has recorded so far; the first one holds the lock.
        "snakemake --cores 1 --configfile {params.config} --nolock --report {output} "
        "all_figures all_tables comparison verdict manifest > {log} 2>&1"
