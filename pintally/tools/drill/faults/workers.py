"""Faults of the workers' own processes."""

import signal
import time

from pintally.tools.drill.proxy import Mode
from pintally.tools.drill.stage import Stage, bit, fault
from pintally.tools.engines.ready import wait_until

READY_SECONDS = 45.0
TAKEN_OVER_SECONDS = 60.0
HOLD_SECONDS = 20.0
DONE_SECONDS = 20.0


@fault("worker-kill", "signal 9 ended the process, and its successor read its partitions from the ledger")
def kill_worker(stage: Stage) -> str:
    """SIGKILL of a worker at a random moment; it is started again."""
    worker = stage.rng.choice(stage.workers.steady)
    time.sleep(stage.rng.random())
    ready = stage.tally.count("starts", worker.log)
    pid = worker.kill()
    bit(not worker.alive, f"process {pid} still runs")
    time.sleep(stage.rng.choice((0.0, 1.0, 1.5 * stage.session)))
    worker.start()
    bit(stage.tally.wait("starts", ready, READY_SECONDS, worker.log), f"the successor of process {pid} did not start")
    return f"{worker.name}: process {pid} killed, process {worker.pid} counts on"


@fault("worker-freeze", "after SIGCONT the worker noticed that its session had passed, and ended itself")
def freeze_worker(stage: Stage) -> str:
    """SIGSTOP of a worker past its session, then SIGCONT."""
    stage.calm()
    worker = stage.rng.choice(stage.workers.steady)
    expired = stage.tally.count("sessions_expired", worker.log)
    seconds = stage.session * (1.3 + stage.rng.random())
    worker.signal(signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        worker.signal(signal.SIGCONT)
    noticed = stage.tally.wait("sessions_expired", expired, READY_SECONDS, worker.log)
    bit(noticed, f"{worker.name} was stopped for {seconds:.1f} s and never said that its session had passed")
    return f"{worker.name}: stopped for {seconds:.1f} s, then ended itself"


@fault("zombie-insert", "ClickHouse took its insert after others had counted past it")
def delay_insert_past_session(stage: Stage) -> str:
    """A worker's insert is held on its way, the worker stopped; both come back after others have taken over."""
    stage.calm()
    worker = stage.rng.choice(stage.workers.steady)
    door, expired = worker.entrance.clickhouse, stage.tally.count("sessions_expired", worker.log)
    began = time.monotonic()
    try:
        with door.failing(Mode.HOLD):
            held = door.traffic.held
            bit(wait_until(lambda: door.traffic.held > held, HOLD_SECONDS), f"{worker.name} inserted nothing")
            worker.signal(signal.SIGSTOP)
            time.sleep(1.2 * stage.session)
            taken = stage.probe.wait_caught_up(TAKEN_OVER_SECONDS)  # what the insert holds, and what came since
            done = door.traffic.inserts
        bit(taken, f"nobody counted on for {worker.name}")
        late = wait_until(lambda: door.traffic.inserts > done, DONE_SECONDS)  # while its worker still sleeps
    finally:
        worker.signal(signal.SIGCONT)
    bit(late, "ClickHouse did not take the insert that was held")
    noticed = stage.tally.wait("sessions_expired", expired, READY_SECONDS, worker.log)
    bit(noticed, f"{worker.name} never said that its session had passed")
    stage.happened["zombie_emissions"] += 1
    seconds = time.monotonic() - began
    return f"{worker.name}: ClickHouse took its insert when others had counted past it, within {seconds:.0f} s"
