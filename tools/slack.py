"""Arrival times at every register of a placed or routed block, from nextpnr's SDF; `tools/synth` uses it.

nextpnr prints the one worst path; what to cut next is seen only when the endpoints
that are too late are counted by the registers where they begin and end. A register
has the name that the RTL gives it, or, where that is lost, the file and line.
"""

import re
from collections import Counter, defaultdict

# What Yosys and ABC append to the name of a net that they have made.
MADE = re.compile(r"_(LUT4|PFUMX|L6MUX21|CCU2C|TRELLIS|WAD|WRE|DI|DO|RAD).*|\$.*")


class Timing:
    """The timing graph of a design, arrival times in ps."""

    def __init__(self, sdf, netlist, instance):
        """Reads an SDF file; `netlist` has the modules of Yosys's JSON, `instance` the name of each below the top."""
        self.driver, self.fans = {}, Counter()  # of an input pin: (output pin, delay of the route)
        self.arcs = defaultdict(list)  # of an output pin: (input pin, delay of the cell)
        self.launch, self.setup = {}, {}
        self._read(sdf)
        self.names = {}
        for module, below in instance.items():
            self._name(netlist[module], below)
        self.arrival, self.before = {}, {}
        ends = [(self._arrive(self.driver[pin][0]) + self.driver[pin][1] + setup, pin) for pin, setup in self.setup.items() if pin in self.driver]
        # Paths between registers only: none from a pin of the package or a constant.
        self.ends = sorted(((late, pin) for late, pin in ends if self.path(pin)[0][0] in self.launch), reverse=True)

    def _read(self, sdf):
        cell = ""
        worst = lambda triple: max(int(ps) for ps in triple.strip("()").split(":"))
        with open(sdf) as lines:
            for line in lines:
                words = line.replace("\\", "").split()
                if not words:
                    continue
                if words[0] == "(INTERCONNECT":
                    self.driver[words[2]] = (words[1], worst(words[3]))
                    self.fans[words[1]] += 1
                elif words[0] == "(INSTANCE":
                    cell = words[1].removesuffix(")")
                elif words[0] == "(IOPATH" and words[1] == "CLK":
                    self.launch[f"{cell}/{words[2]}"] = worst(words[3])
                elif words[0] == "(IOPATH":
                    self.arcs[f"{cell}/{words[2]}"].append((f"{cell}/{words[1]}", worst(words[3])))
                elif words[0] == "(SETUPHOLD" and words[1] == "(posedge":
                    self.setup[f"{cell}/{words[2].removesuffix(')')}"] = worst(words[5])

    def _name(self, module, below):
        nets = {}
        for name, net in module["netnames"].items():
            if not MADE.search(name):
                nets.update((bit, name) for bit in net["bits"] if "_q" in name or bit not in nets)
        for name, cell in module["cells"].items():
            lines = (re.match(r"(.*:\d+)\.", place) for place in cell["attributes"].get("src", "").split("|"))
            lines = sorted({found[1] for found in lines if found and found[1].startswith("rtl/")})
            outs = [bit for port in ("Q", "Z") for bit in cell["connections"].get(port, [])]
            named = next((nets[bit] for bit in outs if bit in nets), lines[0] if lines else "~" + MADE.sub("", name))
            self.names[below + name] = named

    def _arrive(self, pin):
        """Latest arrival at an output pin; without recursion, since paths are long."""
        stack, entered = [pin], set()
        while stack:
            out = stack[-1]
            into = [(self.driver[i], d) for i, d in self.arcs.get(out, []) if i in self.driver]
            todo = [source for (source, _), _ in into if source not in self.arrival and source not in entered]
            if out in self.arrival or out in self.launch or out in entered or not todo:
                stack.pop()
                if out not in self.arrival:
                    late = [(self.arrival.get(source, 0) + route + cell, source, route) for (source, route), cell in into]
                    self.arrival[out], *self.before[out] = max(late, default=(self.launch.get(out, 0), None, 0))
            else:
                entered.add(out)
                stack += todo
        return self.arrival[pin]

    def path(self, end):
        """(output pin, delay of the route from it) of the latest path to an input pin, from its register on."""
        out, route = self.driver[end]
        steps = []
        while out is not None:
            steps.append((out, route))
            out, route = self.before[out]
        return steps[::-1]

    def name(self, pin):
        """Name of the register or the net of a pin."""
        cell = pin.rsplit("/", 1)[0]
        return self.names.get(cell) or "~" + MADE.sub("", cell.removeprefix("u_dut."))

    def fmax(self):
        """In MHz."""
        return 1e6 / self.ends[0][0]

    def critical(self):
        """The latest path: the names along it."""
        late, end = self.ends[0]
        steps = [self.name(pin) for pin, _ in self.path(end)]
        places = [name for i, name in enumerate(steps) if name not in steps[:i] and not name.startswith("~")]
        return f"{places[0] if places else '?'} to {self.name(end)} ({late / 1000:.1f} ns, {len(steps) - 1} cells{'; by ' + ', '.join(places[1:4]) if places[1:] else ''})"

    def write(self, out, period):
        """Writes what misses `period` ps: counts, where it begins, and the latest path into each register."""
        missed = [end for end in self.ends if end[0] > period]
        print(f"{len(self.ends)} endpoints, {len(missed)} over {period / 1000} ns; the latest {self.ends[0][0] / 1000:.2f} ns, {self.fmax():.1f} MHz", file=out)
        print("over", ", ".join(f"{ns} ns: {sum(late > ns * 1000 for late, _ in self.ends)}" for ns in range(7, 18)), file=out)
        starts = Counter(self.name(self.path(pin)[0][0]) for _, pin in missed)
        print("begin at", ", ".join(f"{name} {count}" for name, count in starts.most_common(40)), file=out)
        groups = defaultdict(list)
        for late, pin in missed:
            port = pin.rsplit("/", 1)[1]
            groups[self.name(pin) + ("" if port in ("DI", "M", "WD") else f"/{port}")].append((late, pin))
        for group, ends in sorted(groups.items(), key=lambda item: -item[1][0][0]):
            late, pin = ends[0]
            steps = " > ".join(f"{self.name(o)} {route / 1000:.1f} ({self.fans[o]})" for o, route in self.path(pin))
            print(f"{late / 1000:6.2f} ns x{len(ends):4} {group}: {steps}", file=out)
