"""One job trains one run, or times one."""


rule train:
    input:
        source=lambda wildcards: code([*sources.files(wildcards.algorithm), *foreign.files(wildcards.scenario)]),
    output:
        metrics=f"<results>/{RUN}/metrics.csv",
    log:
        f"<results>/logs/{RUN}.log",
    wildcard_constraints:
        algorithm="|".join(sources.algorithms()),
    retries: ATTEMPTS - 1
    conda:
        f"{workflow.basedir}/environment.yml"  # also for a rule elsewhere that is made from this one
    threads: 1
    resources:
        gpu=1,
        mem_mb=1000,
        attempt=lambda wildcards, attempt: f"{attempt}/{ATTEMPTS}",
    params:
        command="python -m algorithms.train",
        variant="{variant}",
        settings=settings_arguments,
        steps=SUITE.steps,
        memory="",
        failures=failures_so_far,
    shell:
        "device=(cpu cuda); python -m workflow.attempt {output.metrics} --attempt {resources.attempt} "
        "--identity '{params.variant} {params.settings}' --steps {params.steps} --sources {input.source} -- "
        "{params.command} --scenario {wildcards.scenario} --algorithm {wildcards.algorithm} --seed {wildcards.seed} "
        "--steps {params.steps} --variant {params.variant} {params.settings} {params.memory} "
        "--threads {threads} --device ${{device[{resources.gpu}]}} --output $(dirname {output.metrics}) 2> {log}"


# Tables 1 and 2: the machine to itself, so that nothing running beside it pollutes the timing; first, while it is empty.
use rule train as efficiency with:
    output:
        metrics=f"<results>/{TIMING}/metrics.csv",
    log:
        f"<results>/logs/{TIMING}.log",
    priority: 10
    threads: CORES
    params:
        variant="{variant}",
        failures=lambda wildcards: failures_so_far(wildcards, layout.TIMING),
        steps=SUITE.efficiency.get("steps"),
        memory="--memory",
