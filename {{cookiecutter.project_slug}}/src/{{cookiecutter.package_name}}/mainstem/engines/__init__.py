"""Other places that execute a pipeline: Kubeflow, Vertex AI and Airflow.

Each reads one document, `plan.json`, and decides where and when; what a step reads and writes, and how it commits, is
the protocol's in the bucket. Read it in this order: `deployment` (that document), `tasks` (what one container does),
then an engine: `kubeflow` (the pipeline), `vertex` and `kubeflow_host` (submit and schedule it), `airflow`.
"""
