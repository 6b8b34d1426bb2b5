"""Where the results come from: a list of every run, and one page with every figure and table."""


rule manifest:
    input:
        runs=artefacts.every(SUITE),
        source=code(sources.analysis()),
    output:
        "<results>/manifest.json",
    log:
        "<results>/logs/manifest.log",
    conda:
        "../../environment.yml"
    params:
        listing=f"{SUITE.folder}/logs/manifest.files",
    shell:
        "python -m analysis.manifest @{params.listing} --output {output} 2> {log}"


rule report:
    input:
        artefacts=artefacts.every_shown(SUITE),
        verdict="<results>/verdict.csv",
        manifest="<results>/manifest.json",
        videos=artefacts.videos(SUITE),
        source=code(sources.analysis()),
        page=code(sources.page()),
    output:
        "<results>/report.html",
    log:
        "<results>/logs/report.log",
    conda:
        "../../environment.yml"
    params:
        config=f"{SUITE.folder}/config.yaml",
        suite=SUITE.name,
        steps=SUITE.steps,
        seeds=SUITE.seeds,
        scenarios=SUITE.scenarios,
        algorithms=SUITE.algorithms,
        note=NOTE,
    shell:
        "python -m analysis.report --suite {params.suite} --configfile {params.config} --steps {params.steps} "
        "--seeds {params.seeds} --scenarios {params.scenarios} --algorithms {params.algorithms} {params.note} "
        "--artefacts {input.artefacts} --verdict {input.verdict} --manifest {input.manifest} --videos {input.videos} "
        "--output {output} 2> {log}"
