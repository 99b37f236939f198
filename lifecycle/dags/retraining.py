"""An Airflow DAG of a retraining: each task is one `fraudsim model retraining` command.

Airflow decides when, tries again and shows; what is done, and what is done already, the commands know. A
task that was killed is run again like any other.
"""

from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

STEPS = ("window", "features", "train", "check", "gate", "register", "shadow")
REJECTED = 3
"""Exit code of a step of a retraining whose model the gate has rejected: nothing is left to do."""
ENV = {
    "COMMAND": "{{ params.command }}",
    "RUN": "{{ params.run }}",
    "MODELS": "{{ params.models }}",
    "DAYS": "{{ params.days }}",
    "PROMOTE": "{{ '1' if params.promote else '' }}",
    "REASON": "airflow {{ run_id }}",
    "RETRAINING": "{{ ti.xcom_pull(task_ids='open') or '' }}",
}
"""Values come by the environment, so that the shell takes none of them for code."""
OPEN = (
    '"$COMMAND" model retraining open --run "$RUN" ${MODELS:+--at "$MODELS"} --days "$DAYS" '
    '--reason "$REASON" ${PROMOTE:+--promote}'
)
STEP = '"$COMMAND" model retraining step "$RETRAINING" {step} --run "$RUN"'

with DAG(
    dag_id="retraining",
    description="Train on what is known by now, compare with the champion, make it a shadow.",
    schedule="@weekly",
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=1)},
    params={
        "folder": Param(str(Path(__file__).resolve().parents[2]), description="paths below begin here"),
        "command": Param(".venv/bin/fraudsim", description="the console script"),
        "run": Param("runs/latest", description="folder of a run: its history and archived log"),
        "models": Param("", description="folder of the registry; empty for FRAUDSIM_MODEL_DIR"),
        "days": Param(90, type="number", minimum=1, description="days of event time that are learned from"),
        "promote": Param(False, type="boolean", description="a model that passes the gate decides at once"),
    },
) as dag:
    before = BashOperator(
        task_id="open", bash_command=OPEN, env=ENV, append_env=True, cwd="{{ params.folder }}"
    )
    for name in STEPS:
        task = BashOperator(
            task_id=name,
            bash_command=STEP.format(step=name),
            env=ENV,
            append_env=True,
            cwd="{{ params.folder }}",
            skip_on_exit_code=REJECTED,
            do_xcom_push=False,
        )
        before >> task
        before = task
