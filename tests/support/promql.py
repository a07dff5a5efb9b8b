"""What an expression of PromQL asks for: metrics and labels, for tests that hold them against schemas/metrics.py."""

from collections.abc import Iterator, Mapping

from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
    parse,
    walk,
)

from pintally.schemas.metrics import METRICS, Kind

Labels = Mapping[str, frozenset[str]]  # by series

OF_A_HISTOGRAM = ("_bucket", "_sum", "_count")
OF_A_TARGET = frozenset({"job", "instance"})
# Series and labels that Prometheus itself, and its client in each process, expose.
OF_PROMETHEUS = {"up": OF_A_TARGET}
OF_A_PROCESS = dict.fromkeys(
    ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"), OF_A_TARGET
)


def unknown(text: str, others: Labels = OF_PROMETHEUS | OF_A_PROCESS) -> list[str]:
    """Metrics and labels that the expression names, but neither schemas/metrics.py nor `others` have.

    Raises ValueError if it cannot be read.
    """
    return [*_unknown(parse(text), others)]


def metrics(text: str) -> set[str]:
    """The names in the expression, as they are declared: of a histogram without its suffix."""
    return {declared(selector.name or "") for selector in selectors(text)}


def selectors(text: str) -> list[VectorSelector]:
    """Every selector of an expression. Raises ValueError if it cannot be read."""
    return _selectors(parse(text))


def declared(name: str) -> str:
    """The name under which schemas/metrics.py has it."""
    for suffix in OF_A_HISTOGRAM:
        base = name.removesuffix(suffix)
        if base != name and base in METRICS and METRICS[base].kind is Kind.HISTOGRAM:
            return base
    return name


def kept(text: str, others: Labels = OF_PROMETHEUS | OF_A_PROCESS) -> frozenset[str]:
    """The labels that a series of the answer may have. Raises ValueError if the expression cannot be read."""
    return _kept(parse(text), others)


def _kept(expression: Expr, others: Labels) -> frozenset[str]:
    match expression:
        case VectorSelector():
            return labels_of(expression.name or "", others) or frozenset()
        case MatrixSelector():
            return _kept(expression.vector_selector, others)
        case AggregateExpr():  # no expression of ours says "without"
            return _kept(expression.expr, others) & {*(expression.modifier.labels if expression.modifier else ())}
        case BinaryExpr():
            return _kept(expression.lhs, others) or _kept(expression.rhs, others)
        case ParenExpr() | UnaryExpr() | SubqueryExpr():
            return _kept(expression.expr, others)
        case Call():
            dropped = {"le"} if expression.func.name == "histogram_quantile" else set()
            return frozenset().union(*(_kept(each, others) for each in expression.args)) - dropped
    return frozenset()


def labels_of(series: str, others: Labels) -> frozenset[str] | None:
    """Those that a series may have, as it is declared; None if it is not."""
    name = declared(series)
    if name in METRICS:
        return OF_A_TARGET.union(METRICS[name].labels, ["le"] if series.endswith("_bucket") else [])
    return others.get(name)


def _unknown(expression: Expr, others: Labels) -> Iterator[str]:
    allowed: set[str] = {*OF_A_TARGET}
    for selector in _selectors(expression):
        series = selector.name or ""
        name = declared(series)
        labels = labels_of(series, others)
        if labels is None:
            yield name
            continue
        if name in METRICS and METRICS[name].kind is Kind.HISTOGRAM and name == series:
            yield f"{name}: a histogram has only {', '.join(OF_A_HISTOGRAM)}"
        allowed |= labels
        yield from (f"{name}{{{each.name}}}" for each in selector.matchers.matchers if each.name not in labels)
    yield from (f"by ({label})" for label in _grouped(expression) if label not in allowed)


def _selectors(expression: Expr) -> list[VectorSelector]:
    found: list[VectorSelector] = []
    walk(expression, lambda each: found.append(each) if isinstance(each, VectorSelector) else None)
    return found


def _grouped(expression: Expr) -> list[str]:
    found: list[str] = []
    walk(
        expression,
        lambda each: found.extend(each.modifier.labels) if isinstance(each, AggregateExpr) and each.modifier else None,
    )
    return found
