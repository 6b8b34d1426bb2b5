"""One page with every figure and table, its caption and how it was made."""


rule report:
    input:
        expand("<results>/figures/{figure}.svg", figure=runs.figures(SUITE)),
        expand("<results>/tables/{table}.md", table=runs.tables(SUITE)),
        "<results>/comparison.md",
        "<results>/verdict.md",
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
        "all_figures all_tables comparison verdict > {log} 2>&1"
