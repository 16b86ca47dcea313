# SPDX-License-Identifier: MIT
# metrics.py PID NAME: reads what `weir metrics` printed as a strict collector
# does, and looks whether it tells of that pool what it should. A pool's name
# comes as it is shown. Exit status 77 without the parser.
import sys

try:
    from prometheus_client.openmetrics.parser import \
        text_string_to_metric_families as parse
except ImportError:
    sys.exit(77)

pid, name = sys.argv[1:]
text = sys.stdin.read()
families = {f.name: f for f in parse(text)}
seen = set()
of_pool = 0


def check(condition, what):
    if not condition:
        sys.exit("metrics: " + what)


for family in families.values():
    check(family.documentation.endswith("."), family.name + " has no help")
    check(family.type in ("gauge", "counter"), family.name + ": its type")
    check(not family.unit or family.name.endswith("_" + family.unit),
          family.name + ": its unit")
    check("page" not in family.unit, family.name + ": not a base unit")
    for sample in family.samples:
        key = (sample.name,) + tuple(sorted(sample.labels.items()))
        check(key not in seen, "twice: %s" % (key,))
        seen.add(key)
        check(sample.value >= 0, "below 0: %s" % (key,))
        check(all(32 <= ord(c) < 127 for v in sample.labels.values()
                  for c in v), "what is not printable: %s" % (key,))
        level = family.name.split("_")[1]
        need = {"pool": (), "zone": ("zone", "node"), "cpu": ("zone", "cpu"),
                "list": ("zone", "cpu", "order")}[level]
        check(all(l in sample.labels for l in
                  ("pid", "pool", "number") + need), "labels: %s" % (key,))
        if sample.labels["pid"] == pid and sample.labels["pool"] == name:
            of_pool += 1


def value(family, **labels):
    got = [s.value for s in families[family].samples
           if s.labels["pid"] == pid and s.labels["pool"] == name
           and all(s.labels.get(k) == v for k, v in labels.items())]
    check(got, "no %s %s" % (family, labels))
    return sum(got)


size = value("weir_pool_size_bytes")
check(size == 64 << 20, "size_bytes")
check(sum(value("weir_pool_state_bytes", state=s) for s in
          ("out", "cached", "pending", "free", "isolated")) == size,
      "state_bytes")
check(value("weir_pool_max_size_bytes") == size, "max_size_bytes")
check(value("weir_zone_size_bytes") == size, "zones")
check(value("weir_zone_free_runs", order="14") <= 1, "free_runs")
check(value("weir_pool_info", lists="rseq") == 1
      if "lists=\"rseq\"" in text else True, "info")
print(len(families), len(seen), of_pool)
