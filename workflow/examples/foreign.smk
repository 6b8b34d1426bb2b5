"""Two ways to add an algorithm, named in a configuration as `extra_algorithms: {name: path of such a file}`.

The result of a run is its metrics.csv; see workflow/examples/foreign_trainer.py for the columns it needs.
"""


# 1. A command that takes the arguments of `python -m algorithms.train`: settings, retries, the log and the counting of
# failed runs come with the rule.
use rule train as train_compatible with:
    input:
        source=local("workflow/examples/foreign_trainer.py"),
    wildcard_constraints:
        algorithm="compatible",
    params:
        command="python workflow/examples/foreign_trainer.py",


# 2. Any command at all, of another repository or in another language. Behind `workflow.attempt` it has a log, and when it
# fails the figures are drawn without it; `failures` makes the next call try again.
rule train_foreign:
    output:
        "<results>/runs/{scenario}/{algorithm}/{variant}/seed{seed}/metrics.csv",
    log:
        "<results>/logs/runs/{scenario}/{algorithm}/{variant}/seed{seed}.log",
    wildcard_constraints:
        algorithm="foreign",
    conda:
        "../../environment.yml"
    params:
        steps=SUITE.steps,
        failures=failures_so_far,
    shell:
        "python -m workflow.attempt {output} -- "
        "python workflow/examples/foreign_trainer.py --scenario {wildcards.scenario} --algorithm foreign "
        "--seed {wildcards.seed} --steps {params.steps} --output $(dirname {output}) 2> {log}"
