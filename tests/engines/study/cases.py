"""The cases: graph shapes times behaviours, and runs that are handed from one engine to another."""

SHAPES = ("chain", "diamond", "fanout", "fanin", "outputs", "kinds", "empty", "volatile", "effect", "foreign")
BEHAVIOURS = ("succeeds", "retried", "resumed", "killed", "overridden", "twice")
ENGINES = ("local", "kubeflow", "airflow")

# Every shape succeeds; each behaviour else meets seven of the ten.
CASES = tuple(
    f"{shape}_{behaviour}"
    for number, behaviour in enumerate(BEHAVIOURS)
    for rank, shape in enumerate(SHAPES)
    if behaviour == "succeeds" or (rank + number) % len(SHAPES) > 2
)
HANDED = tuple(f"diamond_from_{first}_to_{second}_struck" for first in ENGINES for second in ENGINES if first != second)
