"""The brokers of a local Kafka: how many there may be, what each is called, and where it listens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pintally.schemas.errors import PintallyError
from pintally.tools.engines.ports import LOOPBACK

COUNTS = (1, 3)  # of two neither may be lost, since controllers decide by majority


@dataclass(frozen=True, slots=True)
class Broker:
    """One process: broker and controller."""

    number: int  # node.id, from 1
    port: int
    controller_port: int
    # Further listeners, for clients that come by a proxy: a port it listens on -> the port it tells them to use.
    proxies: Mapping[int, int] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where clients connect, host:port."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def name(self) -> str:
        """For people. The first one is called as one that is alone."""
        return _numbered("Kafka", self.number, " ")

    @property
    def folder(self) -> str:
        """The name of its folder and of its log."""
        return folder_of(self.number)


def folder_of(number: int) -> str:
    """Where the data of a broker lies: a folder of this name."""
    return _numbered("kafka", number, "-")


def port_names(count: int) -> list[tuple[str, str]]:
    """What the port for clients and the port of the controller are called, of each broker."""
    return [(_numbered("kafka", n, "_"), _numbered("kafka_controller", n, "_")) for n in range(1, count + 1)]


def brokers_at(ports: Mapping[str, int], count: int, proxies: Sequence[Mapping[int, int]] = ()) -> list[Broker]:
    """The brokers on these ports; `proxies` are further listeners of the first, the second, ..."""
    ways = [*proxies, *[{} for _ in range(count - len(proxies))]]
    return [
        Broker(number, ports[port], ports[controller], ways[number - 1])
        for number, (port, controller) in enumerate(port_names(count), 1)
    ]


def check_count(count: int) -> None:
    """Raises PintallyError for a number of brokers that makes no sense."""
    if count not in COUNTS:
        raise PintallyError(f"cannot start {count} brokers of Kafka", f"Choose {' or '.join(map(str, COUNTS))}.")


def _numbered(name: str, number: int, separator: str) -> str:
    return name if number == 1 else f"{name}{separator}{number}"
