"""Two tasks that end together."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def run_both(first: Coroutine[Any, Any, None], second: Coroutine[Any, Any, None]) -> None:
    """Run until one of them ends, and cancel the other one. Raises what ended it: what has stopped is not looked at."""
    tasks = [asyncio.create_task(each) for each in (first, second)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
