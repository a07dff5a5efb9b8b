"""Faults of the workers' own processes."""

import signal
import time

from pintally.tools.drill.fault_context import FaultContext, fault, require_effect
from pintally.tools.drill.proxy import Mode
from pintally.tools.engines.ready import wait_until

READY_SECONDS = 45.0
TAKEN_OVER_SECONDS = 60.0
HOLD_SECONDS = 20.0
DONE_SECONDS = 20.0


@fault("worker-kill", "signal 9 ended the process, and its successor read its partitions from the ledger")
def kill_worker(context: FaultContext) -> str:
    """SIGKILL of a worker at a random moment; it is started again."""
    worker = context.rng.choice(context.workers.steady)
    time.sleep(context.rng.random())
    pid = worker.kill()
    require_effect(not worker.alive, f"process {pid} still runs")
    time.sleep(context.rng.choice((0.0, 1.0, 1.5 * context.session)))
    worker.start()
    require_effect(wait_until(lambda: worker.ready, READY_SECONDS), f"the successor of process {pid} did not start")
    return f"{worker.name}: process {pid} killed, process {worker.pid} counts on"


@fault("worker-freeze", "after SIGCONT the worker noticed that its session had passed, and ended itself")
def freeze_worker(context: FaultContext) -> str:
    """SIGSTOP of a worker past its session, then SIGCONT."""
    context.calm()
    worker = context.rng.choice(context.workers.steady)
    expired = worker.count("sessions_expired")
    seconds = context.session * (1.3 + context.rng.random())
    worker.signal(signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        worker.signal(signal.SIGCONT)
    noticed = wait_until(lambda: worker.count("sessions_expired") > expired, READY_SECONDS)
    require_effect(noticed, f"{worker.name} slept for {seconds:.1f} s and did not notice that its session had passed")
    return f"{worker.name}: stopped for {seconds:.1f} s, then ended itself"


@fault("zombie-insert", "ClickHouse took its insert after others had counted past it")
def delay_insert_past_session(context: FaultContext) -> str:
    """A worker's insert is held on its way, the worker stopped; both come back after others have taken over."""
    context.calm()
    worker = context.rng.choice(context.workers.steady)
    proxy, expired = worker.proxies.clickhouse, worker.count("sessions_expired")
    began = time.monotonic()
    try:
        with proxy.failing(Mode.HOLD_REQUEST):
            held = proxy.traffic.held
            require_effect(
                wait_until(lambda: proxy.traffic.held > held, HOLD_SECONDS), f"{worker.name} inserted nothing"
            )
            worker.signal(signal.SIGSTOP)
            time.sleep(1.2 * context.session)
            taken = context.probe.wait_caught_up(TAKEN_OVER_SECONDS)  # what the insert holds, and what came since
            done = proxy.traffic.inserts
        require_effect(taken, f"nobody counted on for {worker.name}")
        late = wait_until(lambda: proxy.traffic.inserts > done, DONE_SECONDS)  # while its worker still sleeps
    finally:
        worker.signal(signal.SIGCONT)
    require_effect(late, "ClickHouse did not take the insert that was held")
    noticed = wait_until(lambda: worker.count("sessions_expired") > expired, READY_SECONDS)
    require_effect(noticed, f"{worker.name} never noticed that its session had passed")
    context.happened["zombie_emissions"] += 1
    seconds = time.monotonic() - began
    return f"{worker.name}: ClickHouse took its insert when others had counted past it, within {seconds:.0f} s"
