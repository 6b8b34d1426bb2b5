"""Every final policy, with and without exploration, on episodes that training never saw."""


rule evaluate:
    input:
        metrics=f"<results>/{RUN}/metrics.csv",
        source=code(["algorithms/evaluate.py"]),
    output:
        f"<results>/{RUN}/evaluation.csv",
    log:
        "<results>/logs/evaluation/{scenario}/{algorithm}/{variant}/seed{seed}.log",
    wildcard_constraints:
        algorithm="|".join(sources.algorithms()),
    retries: ATTEMPTS - 1
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=500,
    params:
        episodes=SUITE.evaluation.get("episodes"),
    shell:
        "python -m algorithms.evaluate $(dirname {input.metrics}) --episodes {params.episodes} --threads {threads} "
        "> {log} 2>&1"
