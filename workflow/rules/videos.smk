"""Videos of the first seed's final policies; they need OpenGL, but no display."""

FILM = ("algorithms/film.py", "algorithms/evaluate.py", "envs/rendering.py")


rule film:
    input:
        metrics=first_run,
        source=code(FILM),
    output:
        "<results>/videos/{scenario}/{algorithm}.mp4",
    log:
        "<results>/logs/videos/{scenario}/{algorithm}.log",
    wildcard_constraints:
        algorithm="|".join(sources.algorithms()),
    retries: ATTEMPTS - 1
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=700,
    shell:
        "python -m algorithms.film $(dirname {input.metrics}) --output {output} > {log} 2>&1"


# Both from the same state.
use rule film as film_pair with:
    input:
        metrics=lambda wildcards: [first_run(wildcards, name) for name in artefacts.PAIR],
        source=code(FILM),
    output:
        f"<results>/videos/{{scenario}}/{'_'.join(artefacts.PAIR)}.mp4",
    log:
        f"<results>/logs/videos/{{scenario}}/{'_'.join(artefacts.PAIR)}.log",
    resources:
        mem_mb=900,
