"""How fast training runs beside the physics it needs, and where an iteration's time goes."""


# Like the timing of Tables 1 and 2: one at a time, with the machine to itself.
rule measure:
    input:
        source=lambda wildcards: code(("algorithms/benchmark.py", *sources.files(wildcards.algorithm))),
    output:
        f"<results>/{MEASUREMENT}/measurement.csv",
    log:
        f"<results>/logs/{MEASUREMENT}.log",
    retries: ATTEMPTS - 1
    conda:
        "../../environment.yml"
    threads: CORES
    resources:
        gpu=1,
        mem_mb=1000,
    params:
        settings=settings_arguments,
        threads=SUITE.benchmark.get("threads"),
        rounds=SUITE.benchmark.get("rounds"),
    shell:
        "device=(cpu cuda); python -m algorithms.benchmark --scenario {wildcards.scenario} "
        "--algorithm {wildcards.algorithm} --threads {params.threads} --rounds {params.rounds} {params.settings} "
        "--device ${{device[{resources.gpu}]}} --output {output} > {log} 2>&1"


use rule figure as benchmark with:
    input:
        runs=lambda wildcards: artefacts.measurements(SUITE) or left_out("benchmark"),
        source=code(sources.analysis()),
    output:
        multiext("<results>/benchmark/benchmark", ".svg", ".png", ".csv", ".tex", ".caption.txt"),
        shown="<results>/benchmark/benchmark.md",
    log:
        "<results>/logs/benchmark/benchmark.log",
