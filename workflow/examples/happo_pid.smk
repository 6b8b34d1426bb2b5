use rule train as train_happo_pid with:
    wildcard_constraints:
        algorithm="happo_pid",
