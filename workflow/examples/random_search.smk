rule train_random_search:
    input:
        source=code(["workflow/examples/random_search.py"]),
    output:
        f"<results>/{RUN}/metrics.csv",
    log:
        f"<results>/logs/{RUN}.log",
    wildcard_constraints:
        algorithm="random_search",
        variant="default",
    retries: ATTEMPTS - 1
    conda:
        "../../environment.yml"
    resources:
        attempt=lambda wildcards, attempt: f"{attempt}/{ATTEMPTS}",
    params:
        steps=SUITE.steps,
        failures=failures_so_far,
    shell:
        "python -m workflow.attempt {output} --attempt {resources.attempt} --steps {params.steps} "
        "--sources {input.source} -- "
        "python -m workflow.examples.random_search --scenario {wildcards.scenario} --seed {wildcards.seed} "
        "--steps {params.steps} --output $(dirname {output}) 2> {log}"
